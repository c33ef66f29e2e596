"""What a cell's target makes of images, clean or adversarial."""

from collections.abc import Iterator

import torch
from torch import Tensor

from bench.attacks.balls import length
from bench.attacks.passes import finite, logits_at
from bench.counted import Counted
from bench.crafting import Case
from bench.metrics import counts_captions
from bench.tally import Tally
from bench.tasks.retrieval import RetrievalClassifier, caption_ids, recall

Points = Iterator[tuple[Tensor, Tensor]]  # rows of a dataset, and their images `[b,3,h,w]`


def score(case: Case, points: Points, tally: Tally) -> None:
    """Note for each image, or each of its captions, whether the target is right."""
    if case.images.captions:
        _retrieve(case, points, tally)
        return
    for rows, part in points:
        judge(case, rows, part, tally)


def judge(case: Case, rows: Tensor, points: Tensor, tally: Tally) -> None:
    """Note for points whether the target is right, and how far they are from their images."""
    cell, images = case.cell, case.images
    target = Counted(case.warm.classifier(cell.target, cell.dataset), case.deadline)
    batch = case.warm.batch(cell.target, cell.dataset)
    predicted = logits_at(target, points, batch).argmax(dim=1)
    tally.add(target)
    place = rows.numpy()
    tally.correct[place] = (predicted == images.labels[rows.to(predicted.device)]).cpu().numpy()
    _note_distance(case, rows, points, tally)


def _retrieve(case: Case, points: Points, tally: Tally) -> None:
    """Note for each image or caption whether it finds its own among all of the others."""
    cell, images = case.cell, case.images
    target = case.warm.classifier(cell.target, cell.dataset)
    assert isinstance(target, RetrievalClassifier)
    batch = case.warm.batch(cell.target, cell.dataset)
    cosines: list[Tensor] = []
    with torch.no_grad():
        for rows, part in points:
            case.deadline.check()
            cosines += batch.parts(len(rows), lambda some: target.cosines(part[some]))  # noqa: B023
            tally.forwards += len(rows)
            _note_distance(case, rows, part, tally)
    found = recall(finite(torch.cat(cosines)), target.owners, cell.metric)
    tally.correct = found.cpu().numpy()
    if counts_captions(cell.metric):
        tally.sample_ids = caption_ids(images.sample_ids, images.captions)


def _note_distance(case: Case, rows: Tensor, points: Tensor, tally: Tally) -> None:
    if case.cell.attack is not None:
        distance = length(points - case.images.floats(rows), case.cell.budget.norm)
        tally.distance[rows.numpy()] = distance.cpu().numpy()

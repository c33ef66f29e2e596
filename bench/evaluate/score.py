"""What a cell's target makes of images, clean or adversarial."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.attacks.balls import length
from bench.attacks.passes import finite, logits_at
from bench.attacks.query_counter import Counted
from bench.core.errors import CellError
from bench.core.exchanges import AnsweringModel, Exchange
from bench.evaluate.craft import Case
from bench.evaluate.tally import Tally
from bench.suite.metrics import counts_captions
from bench.tasks.retrieval import RetrievalClassifier, caption_ids, recall

_AT_ONCE = 64  # texts scored between two looks at the time limit
Points = Iterator[tuple[Tensor, Tensor]]  # rows of a dataset, and their images `[b,3,h,w]`


def score(case: Case, points: Points, tally: Tally) -> None:
    """Note for each image, or each of its captions, whether the target is right.

    Of one that answers in words, what it says of each image and how that scores.
    """
    if case.images.exchanges:
        _listen(case, points, tally)
        return
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
    logits = logits_at(target, points, batch)
    predicted = logits.argmax(dim=1)
    tally.add(target)
    place = rows.numpy()
    tally.correct[place] = (predicted == images.labels[rows.to(predicted.device)]).cpu().numpy()
    _note_distance(case, rows, points, tally)


@dataclass(frozen=True, slots=True)
class Heard:
    """What a target says of some images, and how each answer scores, `[b]`."""

    texts: tuple[str, ...]
    scores: NDArray[np.float32]


def hear(case: Case, rows: Tensor, points: Tensor, tally: Tally) -> Heard:
    """Have a cell's target answer what is asked of rows, of points `[b,3,h,w]` in their place.

    An answer counts as one image sent forward, however many tokens it takes.

    Raises:
        CellError: Time is up, or the target does not answer in words.
    """
    cell, tokens = case.cell, case.warm.suite.protocol.answer_tokens
    target = case.warm.model(cell.target)
    if not isinstance(target, AnsweringModel):
        raise CellError(f"a model that answers in words is needed; {cell.target!r} is none")
    exchanges = [case.images.exchanges[row] for row in rows.tolist()]

    def answered(part: slice) -> list[str]:
        case.deadline.check()
        prompts = [exchange.prompt for exchange in exchanges[part]]
        return target.answer(points[part], prompts, tokens=tokens)

    batch = case.warm.batch(cell.target, cell.dataset)
    texts = tuple(text for some in batch.parts(len(rows), answered) for text in some)
    tally.forwards += len(rows)
    return Heard(texts, _scored(case, texts, exchanges))


def _scored(case: Case, texts: Sequence[str], exchanges: Sequence[Exchange]) -> NDArray[np.float32]:
    """Score texts so many at a time, `[b]`: whoever judges them may be slow, and is asked once."""
    score = case.warm.scorer(case.cell.dataset, case.cell.metric)
    found = []
    for start in range(0, len(texts), _AT_ONCE):
        if start:
            case.deadline.check()
        part = slice(start, start + _AT_ONCE)
        found.append(score(texts[part], exchanges[part]))
    return np.concatenate(found) if found else np.zeros(0, np.float32)


def _listen(case: Case, points: Points, tally: Tally) -> None:
    texts = [""] * len(case.images.labels)
    tally.scores = np.zeros(len(texts), np.float32)
    for rows, part in points:
        heard = hear(case, rows, part, tally)
        tally.scores[rows.numpy()] = heard.scores
        for row, text in zip(rows.tolist(), heard.texts, strict=True):
            texts[row] = text
        _note_distance(case, rows, part, tally)
    tally.texts, tally.correct = texts, tally.scores > 0


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
        tally.distance[rows.numpy()] = distances(case, rows, points)


def distances(case: Case, rows: Tensor, points: Tensor) -> NDArray[np.float32]:
    """Return how far points are from the images of rows, in the cell's norm, `[b]`."""
    found = length(points - case.images.floats(rows), case.cell.budget.norm)
    return found.cpu().numpy()

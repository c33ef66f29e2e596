"""What a cell's target makes of images, clean or adversarial."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.attacks.balls import length
from bench.attacks.passes import finite
from bench.core.errors import CellError
from bench.core.language_types import AnsweringModel, Question, replace_surrogates
from bench.evaluate.craft import Case
from bench.evaluate.tally import Tally
from bench.suite.metrics import metric_of
from bench.tasks.embedding_tasks import EMBEDDING_TASKS

_AT_ONCE = 64  # texts scored between two looks at the time limit
Points = Iterator[tuple[Tensor, Tensor]]  # rows of a dataset, and their images `[b,3,h,w]`


def score(case: Case, points: Points, tally: Tally) -> None:
    """Note what a cell's metric makes of all images, which come in order.

    Of a target that answers in words, also its answers.
    """
    if case.cell.task.answers:
        _score_answers(case, points, tally)
    else:
        _score_embeddings(case, points, tally)


def judge(case: Case, rows: Tensor, points: Tensor, tally: Tally) -> None:
    """Note for points whether the target is right, and how far they are from their images.

    The cell's metric is one that allows an `early_stop`: it is right or wrong, image by image.
    """
    outputs = _outputs(case, points, tally)
    tally.correct[rows.numpy()] = _values(case, rows, outputs)
    _note_distance(case, rows, points, tally)


def _score_embeddings(case: Case, points: Points, tally: Tally) -> None:
    cell, seen = case.cell, list[Tensor]()
    for rows, part in points:
        seen.append(_outputs(case, part, tally))
        _note_distance(case, rows, part, tally)
    values = _values(case, torch.arange(len(case.images.labels)), torch.cat(seen))
    if metric_of(cell.metric).graded:
        tally.scores = values.astype(np.float32)
    tally.correct = values > 0
    tally.sample_ids = EMBEDDING_TASKS[cell.task.name].sample_ids(case.images, cell.metric)


def _outputs(case: Case, points: Tensor, tally: Tally) -> Tensor:
    """Return what metrics are read off, of points `[b,3,h,w]` through the target, `[b,...]`."""
    cell, task = case.cell, EMBEDDING_TASKS[case.cell.task.name]
    head = case.warm.classifier(cell.target, cell.dataset)

    def seen(part: slice) -> Tensor:
        case.deadline.check()
        return finite(task.outputs(head, points[part]))

    with torch.no_grad():
        found = torch.cat(case.warm.batch(cell.target, cell.dataset).parts(len(points), seen))
    tally.forwards += len(points)
    return found


def _values(case: Case, rows: Tensor, outputs: Tensor) -> NDArray[np.bool_] | NDArray[np.float32]:
    cell, images = case.cell, case.images
    labels = images.labels[rows.to(images.labels.device)]
    task = EMBEDDING_TASKS[cell.task.name]
    found: NDArray[np.bool_] | NDArray[np.float32]
    found = task.values(outputs, labels, images, cell.metric).cpu().numpy()
    return found


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
    questions = [case.images.questions[row] for row in rows.tolist()]

    def answered(part: slice) -> list[str]:
        case.deadline.check()
        prompts = [question.prompt for question in questions[part]]
        return [*map(replace_surrogates, target.answer(points[part], prompts, tokens=tokens))]

    batch = case.warm.batch(cell.target, cell.dataset)
    texts = tuple(text for some in batch.parts(len(rows), answered) for text in some)
    tally.forwards += len(rows)
    return Heard(texts, _scored(case, texts, questions))


def _scored(case: Case, texts: Sequence[str], questions: Sequence[Question]) -> NDArray[np.float32]:
    """Score texts so many at a time, `[b]`: whoever judges them may be slow, and is asked once."""
    score = case.warm.scorer(case.cell.dataset, case.cell.metric)
    found = []
    for start in range(0, len(texts), _AT_ONCE):
        if start:
            case.deadline.check()
        part = slice(start, start + _AT_ONCE)
        found.append(score(texts[part], questions[part]))
    return np.concatenate(found) if found else np.zeros(0, np.float32)


def _score_answers(case: Case, points: Points, tally: Tally) -> None:
    texts = [""] * len(case.images.labels)
    tally.scores = np.zeros(len(texts), np.float32)
    for rows, part in points:
        heard = hear(case, rows, part, tally)
        tally.scores[rows.numpy()] = heard.scores
        for row, text in zip(rows.tolist(), heard.texts, strict=True):
            texts[row] = text
        _note_distance(case, rows, part, tally)
    tally.texts, tally.correct = texts, tally.scores > 0


def _note_distance(case: Case, rows: Tensor, points: Tensor, tally: Tally) -> None:
    if case.cell.attack is not None:
        tally.distance[rows.numpy()] = distances(case, rows, points)


def distances(case: Case, rows: Tensor, points: Tensor) -> NDArray[np.float32]:
    """Return how far points are from the images of rows, in the cell's norm, `[b]`."""
    found = length(points - case.images.floats(rows), case.cell.budget.norm)
    return found.cpu().numpy()

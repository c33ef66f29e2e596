"""Score images, clean or adversarial, on a cell's target model."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.attacks.balls import length
from bench.attacks.passes import finite
from bench.core.errors import CellError
from bench.core.language_types import AnsweringModel, replace_surrogates
from bench.evaluate.craft import Case
from bench.evaluate.tally import Tally
from bench.suite.metrics import metric_of
from bench.tasks.embedding_tasks import EMBEDDING_TASKS

Points = Iterator[tuple[Tensor, Tensor]]  # rows of a dataset, and their images `[b,3,h,w]`


def score(case: Case, points: Points, tally: Tally) -> None:
    """Score all images of a dataset, in order, with the cell's metric.

    If the target answers in words, its answers are recorded too.

    Args:
        case: The cell with its models and images.
        points: Rows of the dataset and their images `[b,3,h,w]`, clean or adversarial.
        tally: Records scores, answers, distances and passes.
    """
    if case.cell.task.answers:
        _score_answers(case, points, tally)
    else:
        _score_embeddings(case, points, tally)


def score_points(case: Case, rows: Tensor, points: Tensor, tally: Tally) -> None:
    """Record whether the target is right on points `[b,3,h,w]`, and their distances.

    The cell's metric must allow an `early_stop`: each image by itself is right or wrong.
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
    """Return the target's outputs for points `[b,3,h,w]`, from which metrics follow, `[b,...]`."""
    cell, task = case.cell, EMBEDDING_TASKS[case.cell.task.name]
    head = case.cache.classifier(cell.target, cell.dataset)

    def output_part(part: slice) -> Tensor:
        case.deadline.check()
        return finite(task.outputs(head, points[part]))

    with torch.no_grad():
        found = torch.cat(
            case.cache.batch(cell.target, cell.dataset).parts(len(points), output_part)
        )
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
class ScoredAnswers:
    """A target's answers to some images.

    Attributes:
        texts: The answers.
        scores: Score of each answer by the cell's metric, `[b]`.
    """

    texts: tuple[str, ...]
    scores: NDArray[np.float32]


def answer_images(case: Case, rows: Tensor, points: Tensor, tally: Tally) -> ScoredAnswers:
    """Let a cell's target answer the questions of some rows, and score the answers.

    An answer counts as one forward pass, however many tokens it has.

    Args:
        case: The cell with its models and images.
        rows: Rows of the dataset, `[b]`.
        points: The images that are shown to the target, `[b,3,h,w]`.
        tally: Records the passes.

    Raises:
        CellError: The time limit has passed, or the target does not answer in words.
    """
    cell, tokens = case.cell, case.cache.suite.protocol.answer_tokens
    target = case.cache.model(cell.target)
    if not isinstance(target, AnsweringModel):
        raise CellError(
            f"{cell.target!r} does not answer in words; allowed: models that answer questions"
        )
    questions = [case.images.questions[row] for row in rows.tolist()]

    def answer_part(part: slice) -> list[str]:
        case.deadline.check()
        prompts = [question.prompt for question in questions[part]]
        return [*map(replace_surrogates, target.answer(points[part], prompts, tokens=tokens))]

    batch = case.cache.batch(cell.target, cell.dataset)
    texts = tuple(text for part_texts in batch.parts(len(rows), answer_part) for text in part_texts)
    tally.forwards += len(rows)
    score = case.cache.scorer(cell.dataset, cell.metric)
    return ScoredAnswers(texts, score(texts, questions))


def _score_answers(case: Case, points: Points, tally: Tally) -> None:
    texts = [""] * len(case.images.labels)
    tally.scores = np.zeros(len(texts), np.float32)
    for rows, part in points:
        answered = answer_images(case, rows, part, tally)
        tally.scores[rows.numpy()] = answered.scores
        for row, text in zip(rows.tolist(), answered.texts, strict=True):
            texts[row] = text
        _note_distance(case, rows, part, tally)
    tally.texts, tally.correct = texts, tally.scores > 0


def _note_distance(case: Case, rows: Tensor, points: Tensor, tally: Tally) -> None:
    if case.cell.attack is not None:
        tally.distance[rows.numpy()] = distances(case, rows, points)


def distances(case: Case, rows: Tensor, points: Tensor) -> NDArray[np.float32]:
    """Return the distances of points from their clean images in the cell's norm, `[b]`."""
    found = length(points - case.images.floats(rows), case.cell.budget.norm)
    return found.cpu().numpy()

"""Attack a model's answers stage by stage and keep the lowest score of each image.

Logits do not show which answer a model will generate. So within a stage every image takes all
steps. Between stages the model answers the images, and images whose score cannot fall further are
left out (RobustVLM, Schlarmann and Hein 2023, arXiv:2308.10741, section 4). An attack with a target
text continues until the model says the target, whatever the score. The tally records per image
whether the model said it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.evaluate.attack_stages import Stage, StageInput, as_scored, run_stages
from bench.evaluate.craft import Case
from bench.evaluate.score import ScoredAnswers, answer_images, distances
from bench.evaluate.tally import Tally
from bench.plan.precisions import stages
from bench.suite.specs import AnyAttack, Precision, Storage, members_of
from bench.tasks.answer_targets import attack_texts, targets_reached


def plan_stages(attack: AnyAttack, precisions: tuple[Precision, ...]) -> Iterator[Stage]:
    """Yield the stages of a single attack (not of an ensemble).

    The stages at the first precision attack all texts that the attack has there, one per stage. If
    the last precision differs, one more stage attacks the text that lowered the score most, or the
    only text.
    """
    first_texts = attack.texts_in_stage(0, len(precisions))
    for reference in range(first_texts):
        yield Stage(precisions[0], reference)
    if len(precisions) > 1:
        yield Stage(precisions[-1], None if first_texts else 0)


def attack_answers(case: Case, attack: AnyAttack, storage: Storage, tally: Tally) -> None:
    """Attack the answers of a cell's target; record the lowest scores and their answers.

    The arguments are those of `bench.evaluate.white_box.attack_target`. If the tally already has
    scores, they come from a smaller budget. Otherwise the model first answers the clean images.
    """
    all_rows = torch.arange(len(case.images.labels))
    if tally.scores is None:
        clean = answer_images(case, all_rows, case.images.floats(all_rows), tally)
        tally.scores, tally.texts = clean.scores.copy(), list(clean.texts)
    # in an ensemble the scores decide which images remain, even if its members have targets
    if tally.reached is None:
        tally.reached = targets_reached(attack, case.images.questions, tally.texts)
    search = _LowestScores(
        case, storage, tally, tally.scores, tally.texts, attack.stop_score, tally.reached
    )
    for member in members_of(attack):
        planned = tuple(plan_stages(member, stages(attack, case.cell.mode)))
        run_stages(case, member, planned, _AnswerRunner(search, member, planned), tally)
    tally.correct = search.scores > 0


@dataclass(frozen=True, slots=True)
class _LowestScores:
    """The lowest score of each image so far, over all members of an attack.

    Attributes:
        case: The cell with its models and images.
        storage: Storage format of attacked images; they are scored in it.
        tally: Records passes and distances.
        scores: Lowest score of each image, `[n]`; updated in place.
        texts: The answers with these scores; updated in place.
        harmless: Images with a score up to this value are not attacked further.
        reached: Whether the model has said the attack's target, `[n]`; updated in place. If set, it
            decides which images remain; if None, the scores decide.
    """

    case: Case
    storage: Storage
    tally: Tally
    scores: NDArray[np.float32]
    texts: list[str]
    harmless: float
    reached: NDArray[np.bool_] | None

    def remaining(self) -> NDArray[np.bool_]:
        """Return whether each image is attacked further, `[n]`."""
        return self.scores > self.harmless if self.reached is None else ~self.reached

    def score_points(self, attack: AnyAttack, left: Tensor, points: Tensor) -> ScoredAnswers:
        """Let the target answer the points in their stored form; keep lower scores."""
        case = self.case
        points = as_scored(case, left, points, self.storage)
        answered = answer_images(case, left, points, self.tally)
        rows = left.numpy()
        lower = answered.scores < self.scores[rows]
        if self.reached is not None:
            questions = [case.images.questions[row] for row in rows.tolist()]
            reaches = targets_reached(attack, questions, answered.texts)
            assert reaches is not None
            lower |= reaches & (
                answered.scores == self.scores[rows]
            )  # at equal scores, prefer the target
            self.reached[rows] |= reaches
        lower_rows = rows[lower]
        self.scores[lower_rows] = answered.scores[lower]
        self.tally.distance[lower_rows] = distances(case, left, points)[lower]
        for row, text, is_lower in zip(rows.tolist(), answered.texts, lower.tolist(), strict=True):
            if is_lower:
                self.texts[row] = text
        return answered


@dataclass(slots=True)
class _AnswerRunner:
    """Runs one member of an attack: the target answers the points of each stage.

    Only the points of this member count for its own lowest scores and its restarts from them.

    Attributes:
        search: The lowest scores of all members so far.
        attack: The member.
        planned: The stages of the member.
    """

    search: _LowestScores
    attack: AnyAttack
    planned: Sequence[Stage]
    _texts_by_reference: list[list[str | None]] = field(init=False)  # by reference and image
    _lowest: NDArray[np.float32] = field(init=False)  # of this member's points, [n]
    _lowest_reference: NDArray[np.int64] = field(init=False)  # reference attacked there, [n]
    _best_points: Tensor | None = None  # points of these scores, [n,3,h,w]

    def __post_init__(self) -> None:
        case, count = self.search.case, len(self.search.scores)
        references = sorted({stage.reference or 0 for stage in self.planned})
        questions, metric = case.images.questions, case.cell.metric
        self._texts_by_reference = [
            attack_texts(self.attack, questions, metric, reference) for reference in references
        ]
        self._lowest = np.full(count, np.inf, np.float32)
        self._lowest_reference = np.zeros(count, np.int64)

    def remaining(self, stage: Stage) -> Tensor:
        has_text = np.array([text is not None for text in self._stage_texts(stage)])
        return torch.from_numpy((self.search.remaining() & has_text).nonzero()[0])

    def inputs(self, stage: Stage, left: Tensor) -> StageInput:
        texts, starts = self._stage_texts(stage), None
        if stage.reference is None and self._best_points is not None:
            starts = self._best_points[left.to(self._best_points.device)]
        return StageInput([texts[row] or "" for row in left.tolist()], starts)

    def keep(self, stage: Stage, left: Tensor, points: Tensor) -> None:
        answered, rows = self.search.score_points(self.attack, left, points), left.numpy()
        better = answered.scores < self._lowest[rows]
        self._lowest[rows[better]] = answered.scores[better]
        self._lowest_reference[rows[better]] = self._references(stage)[rows[better]]
        if stage is not self.planned[-1]:
            if self._best_points is None:
                all_rows = torch.arange(len(self._lowest))
                self._best_points = torch.zeros_like(self.search.case.images.floats(all_rows))
            chosen, device = torch.from_numpy(better), self._best_points.device
            self._best_points[left[chosen].to(device)] = points[chosen.to(points.device)]

    def _references(self, stage: Stage) -> NDArray[np.int64]:
        """Return the index of the reference that a stage attacks, per image, `[n]`."""
        count = len(self._lowest_reference)
        return (
            self._lowest_reference if stage.reference is None else np.full(count, stage.reference)
        )

    def _stage_texts(self, stage: Stage) -> list[str | None]:
        """Return the text that a stage attacks per image; None if the image has no such text."""
        references = self._references(stage).tolist()
        return [
            self._texts_by_reference[reference][row] for row, reference in enumerate(references)
        ]

"""An attack on a model's answers, stage by stage: the lowest score of each image counts.

Logits do not tell what a model will answer. So within a stage every image takes all steps; between
stages the model answers the images, and images whose score cannot fall further drop out (RobustVLM,
Schlarmann and Hein 2023, arXiv:2308.10741, section 4). An attack with a target text goes on until
the model says the target, at whatever score; whether it did is noted beside the scores.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.evaluate.attack_stages import Given, Stage, as_judged, run_stages
from bench.evaluate.craft import Case
from bench.evaluate.score import Heard, distances, hear
from bench.evaluate.tally import Tally
from bench.plan.precisions import stages
from bench.suite.specs import AnyAttack, Precision, Storage, singles
from bench.tasks.answer_targets import reached, texts_of


def stages_of(attack: AnyAttack, precisions: tuple[Precision, ...]) -> Iterator[Stage]:
    """Yield the stages of an attack that is no ensemble.

    All texts that the attack has in its first stage are attacked at the first precision; at the
    last precision, if it is another, the text that lowered the score most, or the only one.
    """
    first = attack.texts_in(0, len(precisions))
    for reference in range(first):
        yield Stage(precisions[0], reference)
    if len(precisions) > 1:
        yield Stage(precisions[-1], None if first else 0)


def attack_answers(case: Case, attack: AnyAttack, storage: Storage, tally: Tally) -> None:
    """Attack the answers of a cell's target, and note the lowest scores with their texts.

    Arguments are those of `bench.evaluate.white_box.attack_target`. A tally that has scores is
    that of a smaller budget; else the model first answers the clean images.
    """
    everyone = torch.arange(len(case.images.labels))
    if tally.scores is None:
        first = hear(case, everyone, case.images.floats(everyone), tally)
        tally.scores, tally.texts = first.scores.copy(), list(first.texts)
    # in an ensemble scores decide which images are left, whatever targets its members have
    if tally.reached is None:
        tally.reached = reached(attack, case.images.questions, tally.texts)
    search = _Search(
        case, storage, tally, tally.scores, tally.texts, attack.harmless, tally.reached
    )
    for member in singles(attack):
        planned = tuple(stages_of(member, stages(attack, case.cell.mode)))
        run_stages(case, member, planned, _Answered(search, member, planned), tally)
    tally.correct = search.scores > 0


@dataclass(frozen=True, slots=True)
class _Search:
    """The lowest scores so far, of all members of an attack.

    Attributes:
        case: What is attacked.
        storage: The form in which attacked images are judged.
        tally: Where passes and distances are noted.
        scores: The lowest score of each image, `[n]`; written over.
        texts: The answer of that score; written over.
        harmless: Images that score no more than this are not attacked further.
        reached: Whether the model ever said the attack's target, `[n]`; then this says which images
            are left. None where scores say it. Written over.
    """

    case: Case
    storage: Storage
    tally: Tally
    scores: NDArray[np.float32]
    texts: list[str]
    harmless: float
    reached: NDArray[np.bool_] | None

    def left(self) -> NDArray[np.bool_]:
        """Return which images are attacked further, `[n]`."""
        return self.scores > self.harmless if self.reached is None else ~self.reached

    def judge(self, attack: AnyAttack, left: Tensor, points: Tensor) -> Heard:
        """Have the target answer points in their stored form, and keep lower scores."""
        case = self.case
        points = as_judged(case, left, points, self.storage)
        heard = hear(case, left, points, self.tally)
        rows = left.numpy()
        lower = heard.scores < self.scores[rows]
        if self.reached is not None:
            questions = [case.images.questions[row] for row in rows.tolist()]
            now = reached(attack, questions, heard.texts)
            assert now is not None
            lower |= now & (heard.scores == self.scores[rows])  # of equals, the one with the target
            self.reached[rows] |= now
        places = rows[lower]
        self.scores[places] = heard.scores[lower]
        self.tally.distance[places] = distances(case, left, points)[lower]
        for row, text, kept_now in zip(rows.tolist(), heard.texts, lower.tolist(), strict=True):
            if kept_now:
                self.texts[row] = text
        return heard


@dataclass(slots=True)
class _Answered:
    """Has the target answer the points of one member, which begins afresh.

    Attributes:
        search: The lowest scores so far.
        attack: The member.
        planned: Its stages.
    """

    search: _Search
    attack: AnyAttack
    planned: Sequence[Stage]
    _own: list[list[str | None]] = field(init=False)  # by reference and image, its text if any
    _lowest: NDArray[np.float32] = field(init=False)  # scores of this member's own points, [n]
    _served: NDArray[np.int64] = field(init=False)  # the reference of that score, [n]
    _best: Tensor | None = None  # the point of that score, [n,3,h,w]

    def __post_init__(self) -> None:
        case, count = self.search.case, len(self.search.scores)
        numbers = sorted({stage.reference or 0 for stage in self.planned})
        questions, metric = case.images.questions, case.cell.metric
        self._own = [texts_of(self.attack, questions, metric, number) for number in numbers]
        self._lowest = np.full(count, np.inf, np.float32)
        self._served = np.zeros(count, np.int64)

    def left(self, stage: Stage) -> Tensor:
        known = np.array([text is not None for text in self._texts(stage)])
        return torch.from_numpy((self.search.left() & known).nonzero()[0])

    def given(self, stage: Stage, left: Tensor) -> Given:
        texts, starts = self._texts(stage), None
        if stage.reference is None and self._best is not None:
            starts = self._best[left.to(self._best.device)]
        return Given([texts[row] or "" for row in left.tolist()], starts)

    def keep(self, stage: Stage, left: Tensor, points: Tensor) -> None:
        heard, rows = self.search.judge(self.attack, left, points), left.numpy()
        better = heard.scores < self._lowest[rows]
        self._lowest[rows[better]] = heard.scores[better]
        self._served[rows[better]] = self._numbers(stage)[rows[better]]
        if stage is not self.planned[-1]:
            if self._best is None:
                everyone = torch.arange(len(self._lowest))
                self._best = torch.zeros_like(self.search.case.images.floats(everyone))
            chosen, device = torch.from_numpy(better), self._best.device
            self._best[left[chosen].to(device)] = points[chosen.to(points.device)]

    def _numbers(self, stage: Stage) -> NDArray[np.int64]:
        """Return per image the reference that a stage attacks, `[n]`."""
        count = len(self._served)
        return self._served if stage.reference is None else np.full(count, stage.reference)

    def _texts(self, stage: Stage) -> list[str | None]:
        """Return per image the text that a stage attacks, None where there is none."""
        numbers = self._numbers(stage).tolist()
        return [self._own[number][row] for row, number in enumerate(numbers)]

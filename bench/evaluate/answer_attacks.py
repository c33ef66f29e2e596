"""An attack on what a model says, stage by stage: the lowest score of each image stays.

Only an answer decides, and an answer is read off no logits: so within a stage every image takes
all steps, and between stages the images are answered, and those with nothing left to lose drop
out (RobustVLM, Schlarmann and Hein 2023, arXiv:2308.10741, section 4). An attack towards a target
of its own goes on until that is said, at whatever score: that it was is noted beside the scores.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.attacks.stored_images import decode, encode
from bench.evaluate.craft import Case, craft
from bench.evaluate.score import Heard, distances, hear
from bench.evaluate.tally import Tally
from bench.plan.precisions import stages
from bench.suite.specs import AnyAttack, ApgdText, ApgdTextTargeted, Ensemble, Precision, Storage
from bench.tasks.answer_targets import reached, texts_of


@dataclass(frozen=True, slots=True)
class Stage:
    """One run of an attack over the images that are left.

    Attributes:
        precision: In what it computes.
        reference: Which of an image's texts it is about; the one that served best if None,
            from the point where it did.
    """

    precision: Precision
    reference: int | None = 0


def stages_of(attack: AnyAttack, precisions: tuple[Precision, ...]) -> Iterator[Stage]:
    """Yield the stages of an attack that is no ensemble.

    All texts are attacked at the first precision, and the best of them at the last. Towards a
    target there is one text, and the last precision alone.
    """
    if isinstance(attack, ApgdTextTargeted):
        yield Stage(precisions[-1])
        return
    for reference in range(attack.references if isinstance(attack, ApgdText) else 1):
        yield Stage(precisions[0], reference)
    if len(precisions) > 1:
        yield Stage(precisions[-1], None)


def attack_answers(case: Case, attack: AnyAttack, storage: Storage, tally: Tally) -> None:
    """Attack what a cell's target says, and note the lowest scores with their texts.

    Arguments are those of `bench.evaluate.white_box.attack_target`. A tally that has scores is
    that of a smaller budget; else the images are answered as they are first.
    """
    everyone = torch.arange(len(case.images.labels))
    if tally.scores is None:
        first = hear(case, everyone, case.images.floats(everyone), tally)
        tally.scores, tally.texts = first.scores.copy(), list(first.texts)
    search = _Search(case, storage, tally, tally.scores, tally.texts)
    members = attack.attacks if isinstance(attack, Ensemble) else (attack,)
    enough = max(m.threshold if isinstance(m, ApgdText) else 0.0 for m in members)
    # a target of an attack's own may be reached whatever the score; in an ensemble, scores decide
    if tally.reached is None:
        tally.reached = reached(attack, case.images.exchanges, tally.texts)
    search.reached = tally.reached
    for member in members:
        search.through(member, tuple(stages_of(member, stages(attack, case.cell.mode))), enough)
    tally.correct = search.scores > 0


@dataclass
class _Search:
    """What has come of an attack so far.

    Attributes:
        case: What is attacked.
        storage: The form in which attacked images are judged.
        tally: Where passes and distances are noted.
        scores: The lowest score of each image, `[n]`; written over.
        texts: What was said for it; written over.
        reached: Whether an image's answers ever had what the attack wants said, `[n]`, which says
            what is left; None where scores do. Written over.
    """

    case: Case
    storage: Storage
    tally: Tally
    scores: NDArray[np.float32]
    texts: list[str]
    reached: NDArray[np.bool_] | None = None

    def through(self, attack: AnyAttack, planned: tuple[Stage, ...], enough: float) -> None:
        """Run the stages of one attack, each on what the earlier ones left."""
        count = len(self.scores)
        lowest = np.full(count, np.inf, np.float32)  # of this attack's own points
        served = np.zeros(count, np.int64)  # by which reference
        best: Tensor | None = None
        own = self._texts(attack, planned)
        for stage in planned:
            numbers = served if stage.reference is None else np.full(count, stage.reference)
            texts = [own[number][row] for row, number in enumerate(numbers.tolist())]
            known = np.array([text is not None for text in texts])
            left = torch.from_numpy((self._left(enough) & known).nonzero()[0])
            if not len(left):
                continue
            told = [texts[row] or "" for row in left.tolist()]
            starts = None
            if stage.reference is None and best is not None:
                starts = best[left.to(best.device)]
            points = craft(
                self.case, attack, left, stage.precision, self.tally, texts=told, starts=starts
            )
            heard = self._judge(attack, left, points)
            rows = left.numpy()
            better = heard.scores < lowest[rows]
            lowest[rows[better]] = heard.scores[better]
            served[rows[better]] = numbers[rows[better]]
            if stage is not planned[-1]:
                best = torch.zeros_like(self._clean()) if best is None else best
                chosen = torch.from_numpy(better)
                best[left[chosen].to(best.device)] = points[chosen.to(points.device)]

    def _texts(self, attack: AnyAttack, planned: tuple[Stage, ...]) -> list[list[str | None]]:
        """Return by reference and image the text that an attack is about, None where is none."""
        numbers = sorted({stage.reference or 0 for stage in planned})
        exchanges, metric = self.case.images.exchanges, self.case.cell.metric
        return [texts_of(attack, exchanges, metric, number) for number in numbers]

    def _left(self, enough: float) -> NDArray[np.bool_]:
        return self.scores > enough if self.reached is None else ~self.reached

    def _judge(self, attack: AnyAttack, left: Tensor, points: Tensor) -> Heard:
        """Have the target answer points as they are kept, and keep what is lower."""
        case, clean = self.case, self.case.images.floats(left)
        if self.storage != "float16":  # full precision is nearer to the attack than halves
            kept = encode(points, clean, self.storage)
            points = decode(kept, clean, case.cell.budget, self.storage)
        heard = hear(case, left, points, self.tally)
        rows = left.numpy()
        lower = heard.scores < self.scores[rows]
        if self.reached is not None:
            exchanges = [case.images.exchanges[row] for row in rows.tolist()]
            now = reached(attack, exchanges, heard.texts)
            assert now is not None
            lower |= now & (heard.scores == self.scores[rows])  # of equals, what shows it
            self.reached[rows] |= now
        places = rows[lower]
        self.scores[places] = heard.scores[lower]
        self.tally.distance[places] = distances(case, left, points)[lower]
        for row, text, kept_now in zip(rows.tolist(), heard.texts, lower.tolist(), strict=True):
            if kept_now:
                self.texts[row] = text
        return heard

    def _clean(self) -> Tensor:
        return self.case.images.floats(torch.arange(len(self.scores)))

"""Attack a cell's own target; each stage attacks the images that earlier stages did not break."""

from dataclasses import dataclass

import torch
from torch import Tensor

from bench.evaluate.answer_attacks import attack_answers
from bench.evaluate.attack_stages import Stage, StageInput, as_scored, run_stages
from bench.evaluate.craft import Case
from bench.evaluate.score import score_points
from bench.evaluate.tally import Tally
from bench.plan.precisions import stages
from bench.suite.specs import AnyAttack, Storage


def attack_target(
    case: Case,
    attack: AnyAttack,
    storage: Storage,
    tally: Tally,
    *,
    scored_points: Tensor | None = None,
) -> None:
    """Attack a cell's own target; record which images it breaks, and their distances.

    Args:
        case: The cell with its models and images.
        attack: The attack, with its settings limited to the dataset's classes.
        storage: Storage format of attacked images; they are scored in it.
        tally: Says which images remain; updated in place.
        scored_points: Images `[n,3,h,w]`, updated in place: each attacked image is replaced by the
            last point at which the target classified it. Images with questions stay unchanged.
    """
    if case.cell.task.answers:
        attack_answers(case, attack, storage, tally)
        return
    planned = [Stage(precision) for precision in stages(attack, case.cell.mode)]
    run_stages(
        case, attack, planned, _ClassificationRunner(case, storage, tally, scored_points), tally
    )


@dataclass(frozen=True, slots=True)
class _ClassificationRunner:
    """Lets the target classify the points; attributes as the arguments of `attack_target`."""

    case: Case
    storage: Storage
    tally: Tally
    scored_points: Tensor | None

    def remaining(self, stage: Stage) -> Tensor:
        return torch.from_numpy(self.tally.correct.nonzero()[0])

    def inputs(self, stage: Stage, left: Tensor) -> StageInput:
        return StageInput()

    def keep(self, stage: Stage, left: Tensor, points: Tensor) -> None:
        scored = as_scored(self.case, left, points, self.storage)
        score_points(self.case, left, scored, self.tally)
        if self.scored_points is not None:
            self.scored_points[left.to(self.scored_points.device)] = scored

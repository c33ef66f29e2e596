"""An attack on a cell's own target: each stage attacks what the earlier stages have not broken."""

from dataclasses import dataclass

import torch
from torch import Tensor

from bench.evaluate.answer_attacks import attack_answers
from bench.evaluate.attack_stages import Given, Stage, as_judged, run_stages
from bench.evaluate.craft import Case
from bench.evaluate.score import judge
from bench.evaluate.tally import Tally
from bench.plan.precisions import stages
from bench.suite.specs import AnyAttack, Storage


def attack_target(
    case: Case,
    attack: AnyAttack,
    storage: Storage,
    tally: Tally,
    *,
    ended: Tensor | None = None,
) -> None:
    """Attack a cell's target itself, and note which images break and how far they moved.

    Args:
        case: What is attacked.
        attack: The attack, fitted to the dataset.
        storage: The form in which attacked images are judged.
        tally: Says which images are left, and is filled in.
        ended: Images `[n,3,h,w]`, for a caller who wants to see them: each is replaced by the point
            at which it was judged last. Of images with questions none is replaced.
    """
    if case.cell.task.answers:
        attack_answers(case, attack, storage, tally)
        return
    planned = [Stage(precision) for precision in stages(attack, case.cell.mode)]
    run_stages(case, attack, planned, _Classified(case, storage, tally, ended), tally)


@dataclass(frozen=True, slots=True)
class _Classified:
    """Has the target classify points; arguments are those of `attack_target`."""

    case: Case
    storage: Storage
    tally: Tally
    ended: Tensor | None

    def left(self, stage: Stage) -> Tensor:
        return torch.from_numpy(self.tally.correct.nonzero()[0])

    def given(self, stage: Stage, left: Tensor) -> Given:
        return Given()

    def keep(self, stage: Stage, left: Tensor, points: Tensor) -> None:
        judged = as_judged(self.case, left, points, self.storage)
        judge(self.case, left, judged, self.tally)
        if self.ended is not None:
            self.ended[left.to(self.ended.device)] = judged

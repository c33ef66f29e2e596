"""An attack in mode `full`: every image with all steps, for any target to be scored on."""

from dataclasses import dataclass, field
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.attacks.stored_images import encode
from bench.evaluate.attack_stages import Given, Stage, run_stages
from bench.evaluate.craft import Case
from bench.evaluate.tally import untouched
from bench.plan.precisions import stages
from bench.store.results_folder import Craft
from bench.suite.specs import AnyAttack, Storage


def attack_all(case: Case, attack: AnyAttack, storage: Storage) -> Craft:
    """Attack all images of a case on the cell's source.

    Args:
        case: What is attacked.
        attack: The attack, fitted to the dataset.
        storage: The form in which attacked images are kept.

    Returns:
        The images as they are kept, and the passes that they took.
    """
    tally, runner = untouched(case.images.sample_ids), _Kept(case, storage)
    (precision,) = stages(attack, case.cell.mode)
    run_stages(case, attack, [Stage(precision)], runner, tally)
    return Craft(runner.kept, tally.forwards, tally.backwards)


@dataclass(slots=True)
class _Kept:
    """Keeps the points of all images; no target judges them.

    Attributes:
        kept: The images as they are stored, once the attack has run.
    """

    case: Case
    storage: Storage
    kept: NDArray[Any] = field(init=False)

    def left(self, stage: Stage) -> Tensor:
        return torch.arange(len(self.case.images.labels))

    def given(self, stage: Stage, left: Tensor) -> Given:
        return Given()

    def keep(self, stage: Stage, left: Tensor, points: Tensor) -> None:
        self.kept = encode(points, self.case.images.floats(left), self.storage)

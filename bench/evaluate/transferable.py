"""Attack in mode `full`: all steps on every image, so that any model can be scored on them."""

from dataclasses import dataclass, field
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.attacks.stored_images import encode
from bench.evaluate.attack_stages import Stage, StageInput, run_stages
from bench.evaluate.craft import Case
from bench.evaluate.tally import new_tally
from bench.plan.precisions import stages
from bench.store.crafts import Craft
from bench.suite.specs import AnyAttack, Storage


def attack_all(case: Case, attack: AnyAttack, storage: Storage) -> Craft:
    """Attack all images of a case on the cell's source model.

    Args:
        case: The cell with its models and images.
        attack: The attack, with its settings limited to the dataset's classes.
        storage: Storage format of the adversarial images.

    Returns:
        The adversarial images in their storage format, and the number of passes.
    """
    tally, runner = new_tally(case.images.sample_ids), _CraftRunner(case, storage)
    (precision,) = stages(attack, case.cell.mode)
    run_stages(case, attack, [Stage(precision)], runner, tally)
    return Craft(runner.stored, tally.forwards, tally.backwards)


@dataclass(slots=True)
class _CraftRunner:
    """Stores the points of all images; no target scores them.

    Attributes:
        case: The cell with its models and images.
        storage: Storage format of the adversarial images.
        stored: The adversarial images in that format; set after the attack.
    """

    case: Case
    storage: Storage
    stored: NDArray[Any] = field(init=False)

    def remaining(self, stage: Stage) -> Tensor:
        return torch.arange(len(self.case.images.labels))

    def inputs(self, stage: Stage, left: Tensor) -> StageInput:
        return StageInput()

    def keep(self, stage: Stage, left: Tensor, points: Tensor) -> None:
        self.stored = encode(points, self.case.images.floats(left), self.storage)

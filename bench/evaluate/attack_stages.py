"""The loop over an attack's stages, shared by all kinds of evaluation.

A runner says which images a stage attacks and handles the resulting points: in `white_box` the
target classifies them, in `answer_attacks` the target answers them, `transferable` stores them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from bench.attacks.pyautoattack_adapter import library_warnings
from bench.attacks.stored_images import decode, encode
from bench.evaluate.craft import Case, craft
from bench.evaluate.tally import Tally
from bench.suite.specs import AnyAttack, Precision, Storage


@dataclass(frozen=True, slots=True)
class Stage:
    """One run of an attack over the remaining images.

    Attributes:
        precision: Floating-point precision of the attack.
        reference: Index of the attacked text if an image has several; None for the text that
            lowered the score most, starting from the point where it did.
    """

    precision: Precision
    reference: int | None = 0


@dataclass(frozen=True, slots=True)
class StageInput:
    """Inputs of a stage for the images that it attacks.

    Attributes:
        texts: Per image the text that the attack is about; the attack's default if None.
        starts: Starting points `[b,3,h,w]`; the attack chooses them if None.
    """

    texts: Sequence[str] | None = None
    starts: Tensor | None = None


class Runner(Protocol):
    """Chooses the images of each stage and handles the points that the stage finds."""

    def remaining(self, stage: Stage) -> Tensor:
        """Return the rows of the images that the stage attacks, `[b]`; may be empty."""
        ...

    def inputs(self, stage: Stage, left: Tensor) -> StageInput:
        """Return the inputs of the stage for these rows."""
        ...

    def keep(self, stage: Stage, left: Tensor, points: Tensor) -> None:
        """Score or store the points `[b,3,h,w]` that the stage found for these rows."""
        ...


def run_stages(
    case: Case, attack: AnyAttack, planned: Sequence[Stage], runner: Runner, tally: Tally
) -> None:
    """Run an attack's stages in order, each on the images that the runner returns.

    Args:
        case: The cell with its models and images.
        attack: The attack, with its settings limited to the dataset's classes.
        planned: The stages of the attack.
        runner: Chooses the images and handles the points.
        tally: Records passes, and warnings of the attack's library as flags.
    """
    with library_warnings() as warnings:
        for stage in planned:
            left = runner.remaining(stage)
            if not len(left):
                continue
            given = runner.inputs(stage, left)
            points = craft(
                case, attack, left, stage.precision, tally, texts=given.texts, starts=given.starts
            )
            runner.keep(stage, left, points)
    tally.flags = tuple(sorted({*tally.flags, *warnings}))


def as_scored(case: Case, left: Tensor, points: Tensor, storage: Storage) -> Tensor:
    """Return points `[b,3,h,w]` in the form in which a cell's own target scores them.

    Points are rounded to 8 bits if the suite stores 8-bit images. They are not rounded to float16,
    since full precision is closer to what the attack proposed.
    """
    if storage == "float16":
        return points
    clean = case.images.floats(left)
    return decode(encode(points, clean, storage), clean, case.cell.budget, storage)

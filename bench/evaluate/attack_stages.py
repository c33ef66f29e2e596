"""The loop over an attack's stages, the same for whatever is attacked.

A runner says which images a stage attacks, and does with the points what its task asks for:
`white_box` has the target classify them, `answer_attacks` has it answer, `transferable` keeps them.
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
    """One run of an attack over the images that are left.

    Attributes:
        precision: The precision in which the attack computes.
        reference: Where an image has several texts, which of them is attacked; None for the text
            that lowered the score most, from the point where it did.
    """

    precision: Precision
    reference: int | None = 0


@dataclass(frozen=True, slots=True)
class Given:
    """What a stage is told of the images that it attacks.

    Attributes:
        texts: Per image the text that the attack is about; its default if None.
        starts: The points `[b,3,h,w]` at which the attack begins; its own if None.
    """

    texts: Sequence[str] | None = None
    starts: Tensor | None = None


class Runner(Protocol):
    """What a task makes of an attack; it keeps its findings itself."""

    def left(self, stage: Stage) -> Tensor:
        """Return the rows of the images that the stage attacks, `[b]`; the stage may skip all."""
        ...

    def given(self, stage: Stage, left: Tensor) -> Given:
        """Return what the stage is told of these rows."""
        ...

    def keep(self, stage: Stage, left: Tensor, points: Tensor) -> None:
        """Judge the points `[b,3,h,w]` that the stage found for these rows; note the outcome."""
        ...


def run_stages(
    case: Case, attack: AnyAttack, planned: Sequence[Stage], runner: Runner, tally: Tally
) -> None:
    """Run an attack's stages in turn, each on the images that the runner says are left.

    Args:
        case: What is attacked.
        attack: The attack, fitted to the dataset.
        planned: Its stages.
        runner: Judges and keeps the points.
        tally: Where passes are noted, and as flags what the attack's library doubts.
    """
    with library_warnings() as found:
        for stage in planned:
            left = runner.left(stage)
            if not len(left):
                continue
            given = runner.given(stage, left)
            points = craft(
                case, attack, left, stage.precision, tally, texts=given.texts, starts=given.starts
            )
            runner.keep(stage, left, points)
    tally.flags = tuple(sorted({*tally.flags, *found}))


def as_judged(case: Case, left: Tensor, points: Tensor, storage: Storage) -> Tensor:
    """Return points `[b,3,h,w]` of rows in the form in which a cell's own target judges them.

    They go through 8-bit storage, but not through float16: full precision is nearer to the attack.
    """
    if storage == "float16":
        return points
    clean = case.images.floats(left)
    return decode(encode(points, clean, storage), clean, case.cell.budget, storage)

"""All checks in turn, cheap ones first."""

from collections.abc import Callable

import torch

from bench.errors import CellError
from bench.trust import blackbox, budget, effort, forward, gradients, memory, noise
from bench.trust.findings import Finding
from bench.trust.subject import Effort, Subject

Check = Callable[[Subject, Effort], Finding]

CHECKS: dict[str, Check] = {
    "stochastic": forward.stochastic,
    "batch": forward.batch,
    "box": forward.box,
    "eight-bit": forward.eight_bit,
    "precision": forward.precision,
    "gradients": gradients.gradients,
    "saturation": gradients.saturation,
    "finite-differences": gradients.finite_differences,
    "random-directions": gradients.random_directions,
    "ascent": gradients.ascent,
    "zero-budget": budget.zero_budget,
    "monotone": budget.monotone,
    "huge-budget": budget.huge_budget,
    "shifted": memory.shifted,
    "held-out": memory.held_out,
    "transferred": blackbox.transferred,
    "noise": noise.noise,
    "other-loss": effort.other_loss,
    "transfer": blackbox.transfer,
    "more-steps": effort.more_steps,
    "more-restarts": effort.more_restarts,
    "square": blackbox.square,
}


def examine(subject: Subject, level: Effort) -> list[Finding]:
    """Run every check on a subject.

    A check that raises has failed, with the error as its evidence: logits that are not numbers,
    for one. Where memory ends nothing is said of the model, so that the check is a `skip`.

    Args:
        subject: With as many images as there are; the checks take the first of them.
        level: How hard to try.
    """
    some = subject.first(level.images)
    with torch.random.fork_rng([]):  # a random model draws from the global stream
        torch.manual_seed(0)
        return [_run(name, check, some, level) for name, check in CHECKS.items()]


def _run(name: str, check: Check, subject: Subject, level: Effort) -> Finding:
    try:
        return check(subject, level)
    except (torch.OutOfMemoryError, MemoryError):
        return Finding(name, "skip", "memory ran out")
    except CellError as error:
        return Finding(name, "fail", str(error))
    except Exception as error:  # whatever a model does on an image is what its users meet
        return Finding(name, "fail", f"{type(error).__name__}: {error}")

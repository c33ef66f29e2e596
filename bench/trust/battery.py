"""All checks in turn: whether there is a gradient at all comes first, and what is cheap."""

from collections.abc import Callable, Mapping

import torch

from bench.errors import CellSkip
from bench.trust import blackbox, budget, effort, forward, gradients, memory, noise
from bench.trust.findings import Finding, Verdict
from bench.trust.subject import Effort, Subject, crafted
from bench.warm import reason

Check = Callable[[Subject, Effort], Finding]

CHECKS: dict[str, Check] = {
    "gradients": gradients.gradients,
    "stochastic": forward.stochastic,
    "batch": forward.batch,
    "box": forward.box,
    "eight-bit": forward.eight_bit,
    "precision": forward.precision,
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


def examine(subject: Subject, level: Effort, checks: Mapping[str, Check] = CHECKS) -> list[Finding]:
    """Run checks on a subject.

    A check that raises has failed, with the error as its evidence: logits that are not numbers,
    for one. The same error of a later check is told once. Where memory ends nothing is said of
    the model, so that the check is a `skip`.

    Args:
        subject: With as many images as there are; the checks take the first of them.
        level: How hard to try.
        checks: Which, by name; all of them unless told.
    """
    some = subject.first(level.images)
    found: list[Finding] = []
    told: dict[str, str] = {}  # errors, and the check that met each first
    devices = [some.images.device] if some.images.device.type == "cuda" else []
    with torch.random.fork_rng(devices):  # a random model draws from the global stream
        torch.manual_seed(0)
        for name, check in checks.items():
            try:
                found.append(check(some, level))
            except CellSkip as skip:
                found.append(Finding(name, "skip", str(skip)))
            except (torch.OutOfMemoryError, MemoryError):
                found.append(Finding(name, "skip", "memory ran out"))
            except Exception as error:  # whatever a model does on an image its users meet too
                text = reason(error)
                first = told.setdefault(text, name)
                again = f"ended as `{first}` did"
                verdict: Verdict = "fail" if first == name else "skip"
                found.append(Finding(name, verdict, text if first == name else again))
    crafted.cache_clear()
    return found

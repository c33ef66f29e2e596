"""All checks in turn: whether there is a gradient at all comes first, and what is cheap."""

from collections.abc import Callable, Iterator, Mapping, Sequence

import torch

from bench.core.errors import CellSkip, TimeUp
from bench.evaluate.model_cache import reason
from bench.models.batch_size import broke, too_little
from bench.trust import (
    black_box,
    chance,
    convergence,
    forward_pass,
    gradients,
    memorisation,
    radius,
    random_noise,
)
from bench.trust.findings import Finding
from bench.trust.subject import Effort, Subject, pgd_points

Check = Callable[[Subject, Effort], Finding]

# some passes each: a tenth of the time of all, and most that is broken shows here
QUICK: dict[str, Check] = {
    "gradients": gradients.gradients,
    "stochastic": forward_pass.stochastic,
    "batch": forward_pass.batch,
    "chance": chance.chance,
    "saturation": gradients.saturation,
    "finite-differences": gradients.finite_differences,
    "random-directions": gradients.random_directions,
    "huge-budget": radius.huge_budget,
    "shifted": memorisation.shifted,
}

CHECKS: dict[str, Check] = {
    **QUICK,
    "zero-budget": radius.zero_budget,
    "noise": random_noise.noise,
    "other-loss": convergence.other_loss,
    "transferred": black_box.transferred,
    "transfer": black_box.transfer,
    "box": forward_pass.box,
    "eight-bit": forward_pass.eight_bit,
    "precision": forward_pass.precision,
    "ascent": gradients.ascent,
    "held-out": memorisation.held_out,
    "more-steps": convergence.more_steps,
    "monotone": radius.monotone,
    "square": black_box.square,
    "more-restarts": convergence.more_restarts,
}


def examine(
    subject: Subject,
    level: Effort,
    checks: Mapping[str, Check] = CHECKS,
    before: Sequence[Finding] = (),
) -> Iterator[Finding]:
    """Run checks on a subject, and yield what each finds.

    A check that raises has failed, with the error as its evidence: logits that are not numbers,
    for one. The same error of a later check is told once. Where memory, the accelerator or a file
    fails nothing is said of the model: that error is raised.

    Args:
        subject: With as many images as there are; the checks take the first of them.
        level: How hard to try.
        checks: Which, by name; all of them unless told.
        before: What earlier checks of the same subject found.

    Raises:
        TimeUp: It is, by the deadline of the subject's models.
        Exception: Memory ran out, the accelerator broke or a file could not be read.
    """
    some = subject.first(level.images)
    told = {found.evidence: found.check for found in before if found.verdict == "fail"}
    try:
        for name, check in checks.items():
            found = _found(name, check, some, level)
            if found.verdict == "fail":
                first = told.setdefault(found.evidence, name)
                if first != name:
                    found = Finding(name, "skip", f"ended as `{first}` did")
            yield found
    finally:
        pgd_points.cache_clear()


def _found(name: str, check: Check, subject: Subject, level: Effort) -> Finding:
    device = subject.images.device
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(0)  # a random model draws from the global stream
        try:
            return check(subject, level)
        except CellSkip as skip:
            return Finding(name, "skip", str(skip))
        except (TimeUp, OSError):
            raise
        except Exception as error:  # whatever a model does on an image its users meet too
            if too_little(error) or broke(error):
                raise  # the fault of this machine, at this time
            return Finding(name, "fail", " ".join(reason(error).split()))  # a line of a table

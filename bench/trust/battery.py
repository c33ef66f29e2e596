"""All checks in the order in which they run: gradients first, then cheap ones, then the rest."""

from collections.abc import Callable, Iterator, Mapping, Sequence

import torch

from bench.core.errors import FAILURES, CellSkip, StoreError, TimeUp
from bench.evaluate.tracebacks import reason
from bench.models.batch_size import accelerator_failed, memory_too_small
from bench.trust import (
    black_box,
    chance,
    convergence,
    defence_checks,
    forward_pass,
    gradients,
    memorisation,
    radius,
    random_noise,
)
from bench.trust.findings import Finding
from bench.trust.subject import ONE_CLASS, Effort, Subject, logits_of, pgd_points

Check = Callable[[Subject, Effort], Finding]

# a few forward passes each: a tenth of the total time, yet most broken defences fail here
QUICK: dict[str, Check] = {
    "gradients": gradients.gradients,
    "stochastic": forward_pass.stochastic,
    "batch": forward_pass.batch,
    "chance": chance.chance,
    "saturation": gradients.saturation,
    "finite-differences": gradients.finite_differences,
    "random-directions": gradients.random_directions,
    "huge-budget": radius.huge_budget,
    "cost": defence_checks.cost,
    "non-adaptive": defence_checks.non_adaptive,
    "no-effect": defence_checks.no_effect,
    "cut-gradient": defence_checks.cut_gradient,
    "shifted": memorisation.shifted,
}

CHECKS: dict[str, Check] = {
    **QUICK,
    "zero-budget": radius.zero_budget,
    "noise": random_noise.noise,
    "other-loss": convergence.other_loss,
    "transferred": black_box.transferred,
    "transfer": black_box.transfer,
    "stand-in": black_box.stand_in,
    "draws": defence_checks.draws,
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
    begin: Callable[[str], object] = lambda check: None,
) -> Iterator[Finding]:
    """Run checks on a subject and yield their findings.

    A check that raises an error fails, with the error as its evidence; e.g. if logits are NaN. If a
    later check raises the same error, it is skipped. If memory, the accelerator or a file fails,
    that says nothing about the model, and the error is raised.

    Args:
        subject: Model with all its images; the checks use the first `level.images`.
        level: Effort of the checks.
        checks: Checks by name.
        before: Findings of earlier checks of the same subject.
        begin: Called with the name of each check before it runs.

    Raises:
        TimeUp: The deadline of the subject's models has passed.
        Exception: Memory ran out, the accelerator failed or a file could not be read.
    """
    some = subject.first(level.images)
    if not len(some.images):
        yield from (Finding(name, "skip", "there are no images") for name in checks)
        return
    failed = {found.evidence: found.check for found in before if found.verdict == "fail"}
    try:
        for name, check in checks.items():
            begin(name)
            found = _run_check(name, check, some, level)
            if found.verdict == "fail":
                first = failed.setdefault(found.evidence, name)
                if first != name:
                    found = Finding(name, "skip", f"the same error as `{first}`")
            yield found
    finally:
        pgd_points.cache_clear()


def _run_check(name: str, check: Check, subject: Subject, level: Effort) -> Finding:
    device = subject.images.device
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(0)  # random models use the global generator
        try:
            return check(subject, level)
        except CellSkip as skip:
            return Finding(name, "skip", str(skip))
        except (TimeUp, OSError, StoreError):
            raise
        except FAILURES as error:  # users of the model get the same error
            if memory_too_small(error) or accelerator_failed(error):
                raise  # a failure of this machine, not of the model
            if _has_one_class(subject):  # margins and targets need two
                return Finding(name, "skip", ONE_CLASS)
            return Finding(name, "fail", " ".join(reason(error).split()))  # on one line


def _has_one_class(subject: Subject) -> bool:
    try:
        logits_of(subject, subject.images[:1])
    except CellSkip:
        return True
    except FAILURES:
        pass  # the check reports its own error
    return False

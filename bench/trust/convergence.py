"""Stronger attacks of the same kind do not change a converged number.

Carlini et al. 2019 (arXiv:1902.06705, sections 4.3 and 5.6): more steps, more restarts. Tramer et
al. 2020 (arXiv:2002.08347): another loss. Croce and Hein 2020 (arXiv:2003.01690): adaptive steps.
"""

from bench.suite.specs import AnyAttack, ApgdCe, Cw, Pgd
from bench.trust.findings import Finding
from bench.trust.significance import accuracy_drop, verdict_of
from bench.trust.subject import LEAST_STEPS, Effort, Subject, surviving_images


def more_steps(subject: Subject, effort: Effort) -> Finding:
    """PGD with several times the steps breaks no more images."""
    steps = max(effort.steps * subject.reported.steps, LEAST_STEPS)
    spec = Pgd(
        kind="pgd", eps=("0",), norm=subject.budget.norm, steps=steps, eot=subject.reported.eot
    )
    return _finding("more-steps", subject, spec, f"PGD of {steps} steps")


def more_restarts(subject: Subject, effort: Effort) -> Finding:
    """Auto-PGD with several restarts breaks no more images."""
    steps = max(subject.reported.steps, LEAST_STEPS)
    spec = ApgdCe(
        kind="apgd-ce", eps=("0",), norm=subject.budget.norm, steps=steps,
        restarts=effort.restarts, eot=subject.reported.eot,
    )  # fmt: skip
    return _finding("more-restarts", subject, spec, f"Auto-PGD with {effort.restarts} restarts")


def other_loss(subject: Subject, effort: Effort) -> Finding:
    """An attack on the margin, whose gradient no softmax flattens, breaks no more images."""
    steps = max(2 * subject.reported.steps, LEAST_STEPS)
    spec = Cw(
        kind="cw", eps=("0",), norm=subject.budget.norm, steps=steps, eot=subject.reported.eot
    )
    return _finding("other-loss", subject, spec, f"{steps} steps on the margin")


def _finding(check: str, subject: Subject, spec: AnyAttack, what: str) -> Finding:
    if subject.reported.transferred:  # `transferred` runs a white-box attack on it
        return Finding(check, "skip", "the number is a transfer number: see `transferred`")
    start = subject.reported.robust
    after = surviving_images(subject, spec, start)
    drop, p = accuracy_drop(start, after)
    return Finding(
        check,
        verdict_of(p, drop),
        f"{what} after {subject.reported.attack}: robust accuracy falls from "
        f"{start.mean():.1%} to {after.mean():.1%} of {len(start)} images",
        {"stood": int(start.sum()), "stand": int(after.sum()), "images": len(start)},
        p,
    )

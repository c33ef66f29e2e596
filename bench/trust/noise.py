"""Random noise of the same size is no match for an attack."""

from bench.specs import Noise
from bench.trust.findings import Finding
from bench.trust.subject import Effort, Subject, standing
from bench.trust.verdicts import falls, verdict_of


def noise(subject: Subject, effort: Effort) -> Finding:
    """Random points of the ball break none of the images that the attack left standing."""
    start = subject.reported.robust
    spec = Noise(kind="noise", eps=("0",), norm=subject.budget.norm, draws=effort.draws)
    after = standing(subject, spec, start)
    drop, p = falls(start, after)
    return Finding(
        "noise",
        verdict_of(p, drop),
        f"{effort.draws} random points break {int(start.sum() - after.sum())} of the "
        f"{int(start.sum())} images (of {len(start)}) that {subject.reported.attack} left",
        {"stood": int(start.sum()), "stand": int(after.sum()), "draws": effort.draws},
    )

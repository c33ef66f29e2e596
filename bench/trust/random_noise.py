"""Random noise of the same size is no match for an attack."""

from bench.suite.specs import Noise
from bench.trust.findings import Finding
from bench.trust.subject import Effort, Subject, broken_by, standing


def noise(subject: Subject, effort: Effort) -> Finding:
    """Random points of the ball break none of the images that the attack left standing."""
    spec = Noise(kind="noise", eps=("0",), norm=subject.budget.norm, draws=effort.draws)
    after = standing(subject, spec, subject.reported.robust)
    what = f"{effort.draws} random points break"
    return broken_by("noise", what, subject, after, draws=effort.draws)

"""Random noise of the same size is weaker than an attack."""

from bench.suite.specs import Noise
from bench.trust.findings import Finding
from bench.trust.subject import Effort, Subject, surviving_images, weaker_attack_finding


def noise(subject: Subject, effort: Effort) -> Finding:
    """Random points of the ball break no image that survives the reported attack."""
    spec = Noise(kind="noise", eps=("0",), norm=subject.budget.norm, draws=effort.draws)
    after = surviving_images(subject, spec, subject.reported.robust)
    what = f"{effort.draws} random points break"
    return weaker_attack_finding("noise", what, subject, after, draws=effort.draws)

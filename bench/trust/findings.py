"""The finding of a check, the findings of a model on a dataset, and the flags of their rows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from bench.trust.explanations import EXPLANATIONS

Verdict = Literal["pass", "remark", "warn", "fail", "skip"]

FLAGS: Mapping[Verdict, str] = {"fail": "untrusted", "warn": "doubt"}


@dataclass(frozen=True, slots=True)
class Finding:
    """The finding of one check for a model on a dataset.

    Attributes:
        check: Name of the check; explained in `bench.trust.explanations`.
        verdict: `fail` if the number must not be believed, `warn` if it needs a closer look,
            `remark` if other checks explain it or it is no fault, such as a cost, `skip` if the
            check does not apply.
        evidence: A short sentence with figures.
        numbers: The figures, by name.
        p: One-sided p-value of the check's test, if the verdict comes from a test.
    """

    check: str
    verdict: Verdict
    evidence: str
    numbers: Mapping[str, float] = field(default_factory=dict)
    p: float | None = None


@dataclass(frozen=True, slots=True)
class Examined:
    """Findings of the battery for a model on a dataset.

    Attributes:
        model: Name of the model when it was examined.
        dataset: Name of the dataset.
        eps: Radius of the examined number, as written in the suite.
        attack: Attacks of the examined number.
        images: Largest number of images that a check used.
        deep: Whether all checks ran with `--deep`.
        seconds: Time that the checks took.
        findings: One finding per check that ran.
    """

    model: str
    dataset: str
    eps: str
    attack: str
    images: int
    deep: bool
    seconds: float
    findings: tuple[Finding, ...]

    @property
    def not_done(self) -> int:
        """Number of checks that did not run, because the time was up or by interruption."""
        return len(EXPLANATIONS.keys() - {found.check for found in self.findings})


def flags_of(findings: Sequence[Finding]) -> tuple[str, ...]:
    """Return a flag per check that failed or warned: `untrusted=square`, `doubt=noise`."""
    return tuple(
        f"{FLAGS[verdict]}={finding.check}"
        for verdict in ("fail", "warn")
        for finding in findings
        if finding.verdict == verdict
    )

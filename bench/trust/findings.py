"""The finding of a check, and the flags that it adds to rows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

Verdict = Literal["pass", "warn", "fail", "skip"]

FLAGS: Mapping[Verdict, str] = {"fail": "untrusted", "warn": "doubt"}


@dataclass(frozen=True, slots=True)
class Finding:
    """The finding of one check for a model on a dataset.

    Attributes:
        check: Name of the check; explained in `bench.trust.explanations`.
        verdict: `fail` if the number must not be believed, `warn` if it needs a closer look, `skip`
            if the check does not apply.
        evidence: A short sentence with figures.
        numbers: The figures, by name.
    """

    check: str
    verdict: Verdict
    evidence: str
    numbers: Mapping[str, float] = field(default_factory=dict)


def flags_of(findings: Sequence[Finding]) -> tuple[str, ...]:
    """Return a flag per check that failed or warned: `untrusted=square`, `doubt=noise`."""
    return tuple(
        f"{FLAGS[verdict]}={finding.check}"
        for verdict in ("fail", "warn")
        for finding in findings
        if finding.verdict == verdict
    )

"""What a check found, and the flags that its rows get."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

Verdict = Literal["pass", "warn", "fail", "skip"]

FLAGS: Mapping[Verdict, str] = {"fail": "untrusted", "warn": "doubt"}


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found of a model on a dataset.

    Attributes:
        check: Name of the check; `bench.trust.explanations` says what each means.
        verdict: `fail` where a number must not be believed, `warn` where it should be looked
            into, `skip` where the check does not apply.
        evidence: A short sentence with its figures.
        numbers: Those figures, by name.
    """

    check: str
    verdict: Verdict
    evidence: str
    numbers: Mapping[str, float] = field(default_factory=dict)


def flags_of(findings: Sequence[Finding]) -> tuple[str, ...]:
    """Return a flag for each check that failed or warned: `untrusted=square`, `doubt=noise`."""
    return tuple(
        f"{FLAGS[verdict]}={finding.check}"
        for verdict in ("fail", "warn")
        for finding in findings
        if finding.verdict == verdict
    )

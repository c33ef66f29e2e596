"""Differences that are tested together, so that their p-values are corrected together."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from bench.compare.differences import (
    ComparisonLabel,
    DatasetScores,
    Difference,
    ScorePair,
    differences_of,
)


@dataclass(frozen=True, slots=True)
class DifferenceFamily:
    """Numbers that are tested together; those with a missing number have no test."""

    labels: list[ComparisonLabel] = field(default_factory=list)
    pairs: dict[int, ScorePair] = field(default_factory=dict)  # by the place of their label

    def add(
        self,
        label: ComparisonLabel,
        first: Sequence[DatasetScores | None],
        second: Sequence[DatasetScores | None],
    ) -> None:
        """Add two numbers, given as scores per dataset."""
        ours, theirs = ([s for s in scores if s is not None] for scores in (first, second))
        if len(ours) == len(theirs) == len(first):
            self.pairs[len(self.labels)] = ScorePair(label, tuple(ours), tuple(theirs))
        self.labels.append(label)


def tested(families: Sequence[DifferenceFamily]) -> list[list[Difference]]:
    """Return the differences of each family, in the order in which they were added.

    All numbers of all families are means over the same number of datasets.
    """
    found = differences_of([[*family.pairs.values()] for family in families])
    return [
        _by_label(family, dict(zip(family.pairs, differences, strict=True)))
        for family, differences in zip(families, found, strict=True)
    ]


def _by_label(family: DifferenceFamily, found: Mapping[int, Difference]) -> list[Difference]:
    return [found.get(place, Difference(label)) for place, label in enumerate(family.labels)]

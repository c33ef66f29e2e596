"""Intervals, paired tests and ranks for accuracies; `docs/statistics.md` says which where, and why.

Whatever is of several datasets takes arrays `[..., k]`, one number per dataset along the last axis,
and is about the plain mean over the k datasets: each counts the same, however many images it has.
"""

from bench.stats.effective_size import apart, unit
from bench.stats.intervals import Z95, Interval, difference, mean_interval, mean_of, wilson
from bench.stats.multiplicity import LEVEL, holm, ranks
from bench.stats.paired_tests import mcnemar, paired_interval, paired_test

__all__ = [
    "LEVEL",
    "Z95",
    "Interval",
    "apart",
    "difference",
    "holm",
    "mcnemar",
    "mean_interval",
    "mean_of",
    "paired_interval",
    "paired_test",
    "ranks",
    "unit",
    "wilson",
]

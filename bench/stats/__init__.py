"""Confidence intervals, paired tests and ranks for accuracies; see `docs/statistics.md`.

Functions over several datasets take arrays `[..., k]`, with one number per dataset along the last
axis. They estimate the unweighted mean over the k datasets, whatever the number of images of each.
"""

from bench.stats.anytime import anytime_interval, anytime_mean_interval
from bench.stats.anytime_pairs import (
    anytime_paired_interval,
    anytime_paired_test,
    common_images,
)
from bench.stats.effective_size import design_effect, paired_leads
from bench.stats.intervals import Z95, Interval, mean_interval, unpaired_interval, wilson
from bench.stats.multiplicity import LEVEL, benjamini_hochberg, holm
from bench.stats.paired_tests import mcnemar, paired_interval, paired_test
from bench.stats.ranking import anytime_order, ranks
from bench.stats.settling import undecided
from bench.stats.stated import mean_of, rate_interval

__all__ = [
    "LEVEL",
    "Z95",
    "Interval",
    "anytime_interval",
    "anytime_mean_interval",
    "anytime_order",
    "anytime_paired_interval",
    "anytime_paired_test",
    "benjamini_hochberg",
    "common_images",
    "design_effect",
    "holm",
    "mcnemar",
    "mean_interval",
    "mean_of",
    "paired_interval",
    "paired_leads",
    "paired_test",
    "ranks",
    "rate_interval",
    "undecided",
    "unpaired_interval",
    "wilson",
]

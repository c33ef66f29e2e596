"""Multiple testing: corrected p-values."""

from collections.abc import Sequence

LEVEL = 0.05  # family-wise error rate of the tests of one table


def holm(p_values: Sequence[float]) -> list[float]:
    """Return Holm-corrected p-values (Holm 1979), in the order given.

    scipy corrects for the false discovery rate only.
    """
    order = sorted(range(len(p_values)), key=lambda index: p_values[index])
    adjusted = [0.0] * len(p_values)
    largest = 0.0
    for place, index in enumerate(order):
        largest = max(largest, min(1.0, (len(p_values) - place) * p_values[index]))
        adjusted[index] = largest
    return adjusted


def benjamini_hochberg(p_values: Sequence[float]) -> list[float]:
    """Return p-values corrected for the false discovery rate (1995), in the order given.

    The same as `scipy.stats.false_discovery_control`, whose import takes longer than a report.
    """
    order = sorted(range(len(p_values)), key=lambda index: p_values[index], reverse=True)
    adjusted = [0.0] * len(p_values)
    smallest = 1.0
    for place, index in enumerate(order):
        smallest = min(smallest, p_values[index] * len(p_values) / (len(p_values) - place))
        adjusted[index] = smallest
    return adjusted

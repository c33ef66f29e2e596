"""Simulate sequential evaluation: coverage at every stopping time, and images saved.

python -m tests.stats.sequential               2,000 tables per line; minutes
python -m tests.stats.sequential --tables 200
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench import load_results
from bench.stats import LEVEL, Z95, anytime_mean_interval, holm
from bench.stats.anytime import THRESHOLD, log_wealth, log_wealth_of_leads
from bench.stats.paired_tests import mcnemar_of_counts

Floats = NDArray[np.float64]
RATES = np.linspace(0.05, 0.95, 19).round(2)
# share of images that the first or the second model alone is right about
TIES_AND_LEADS = ((0.02, 0.0), (0.1, 0.0), (0.3, 0.0), (0.1, 0.02), (0.1, 0.05))


def rate_misses(rate: float, tables: int, n: int, rng: np.random.Generator, most: int = 0) -> float:
    """Return the share of tables whose interval ever misses the rate, at any of n images.

    Args:
        rate: The true rate.
        tables: Number of tables.
        n: Number of images.
        rng: Random numbers.
        most: Draw without replacement from so many images; 0 draws independent images.
    """
    missed = 0
    for _ in range(tables):
        drawn = rng.permutation(most)[:n] / most if most else rng.random(n)
        right = drawn < rate
        wealth = log_wealth(right.cumsum() * 1.0, np.arange(1.0, n + 1), np.array([rate]))
        missed += wealth.max() >= THRESHOLD
    return missed / tables


def lead_misses(
    apart: float, lead: float, k: int, tables: int, n: int, rng: np.random.Generator
) -> float:
    """Return the share of tables whose interval of a mean difference ever misses it.

    Args:
        apart: Share of images about which one of two models alone is right.
        lead: True mean difference; datasets differ by up to half of `apart` from it.
        k: Number of datasets.
        tables: Number of tables.
        n: Number of images of each dataset.
        rng: Random numbers.
    """
    of_dataset = lead + np.linspace(-apart / 2, apart / 2, k) * (k > 1)
    values, missed = np.linspace(-1, 1, 2 * k + 1), 0
    for _ in range(tables):
        drawn = rng.random((n, k))
        sums = (drawn < (apart + of_dataset) / 2).sum(1)
        sums = sums - (drawn > 1 - (apart - of_dataset) / 2).sum(1)
        counts = (sums[:, None] == np.arange(-k, k + 1)).cumsum(0)
        missed += log_wealth_of_leads(values, counts, lead).max() >= THRESHOLD
    return missed / tables


def stops(right: NDArray[np.bool_], width: float, block: int = 256) -> NDArray[np.int64]:
    """Return after how many images the cells of `right`, `[tables, most]`, stop."""
    most = right.shape[1]
    ends = np.unique([*range(block, most, block), most])
    counts = right.cumsum(1)[:, ends - 1][..., None]
    low, high = anytime_mean_interval(counts, np.broadcast_to(ends[:, None], counts.shape))
    enough = high - low <= width
    enough[:, -1] = True
    return np.asarray(ends[enough.argmax(1)])


def mean_misses(k: int, width: float, tables: int, most: int, rng: np.random.Generator) -> float:
    """Return the share of tables whose interval of a mean misses it where all cells stopped.

    The rates of the k datasets are drawn from 0.05 to 0.95, so the cells stop at unlike times.
    """
    missed = 0
    for _ in range(tables):
        rates = rng.uniform(0.05, 0.95, k)
        right = rng.random((k, most)) < rates[:, None]
        images = stops(right, width, 64)
        correct = [part[:n].sum() for part, n in zip(right, images, strict=True)]
        low, high = anytime_mean_interval(correct, images)
        missed += not low <= rates.mean() <= high
    return missed / tables


def race(rates: Floats, most: int, block: int, rng: np.random.Generator) -> tuple[int, float, bool]:
    """Let a table stop when it is decided which of its models differ.

    Images are equally hard for all models. After each block all pairs are tested, with Holm's
    correction; a model stops when it is apart from all others, or never.

    Returns:
        Images used by all models, the share found of the pairs that differ, and whether any pair
        was ever called different that is not, or the other way round.
    """
    hard = rng.random(most)
    right = (hard + rng.random((len(rates), most)) * 0.5) / 1.5 < rates[:, None]
    pairs = np.array([(i, j) for i in range(len(rates)) for j in range(i)])
    used, called, wrong = np.zeros(len(rates), np.int64), np.zeros(len(pairs), bool), False
    for n in range(block, most + 1, block):
        used[np.unique(pairs[~called])] = n
        p_values, leads = [], []
        for i, j in pairs:
            lead = right[i, : min(used[i], used[j])].astype(int) - right[j, : min(used[i], used[j])]
            counts = [(lead > 0).sum(), (lead < 0).sum()]
            wealth = float(log_wealth_of_leads(np.array([1.0, -1.0]), counts, 0.0))
            p_values.append(float(np.exp(-max(0.0, wealth))))
            leads.append(np.sign(lead.sum()))
        now = np.array(holm(p_values)) < LEVEL
        wrong |= bool((now & (np.array(leads) != _true_leads(rates, pairs))).any())
        called |= now
        if called.all():
            break
    real = _true_leads(rates, pairs) != 0
    return int(used.sum()), float(called[real].mean()), wrong


def fixed_power(rates: Floats, n: int, rng: np.random.Generator) -> float:
    """Return the share that McNemar's tests of n images, with Holm, find of pairs that differ."""
    hard = rng.random(n)
    right = (hard + rng.random((len(rates), n)) * 0.5) / 1.5 < rates[:, None]
    pairs = np.array([(i, j) for i in range(len(rates)) for j in range(i)])
    first, second = right[pairs[:, 0]], right[pairs[:, 1]]
    counts = [(first & ~second).sum(1), (second & ~first).sum(1)]
    p_values = [mcnemar_of_counts(*map(int, both)) for both in zip(*counts, strict=True)]
    real = _true_leads(rates, pairs) != 0
    return float((np.array(holm(p_values)) < LEVEL)[real].mean())


def _true_leads(rates: Floats, pairs: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.sign(rates[pairs[:, 0]] - rates[pairs[:, 1]]).astype(np.int64)


def race_line(tables: int, rng: np.random.Generator) -> str:
    """Return what a table of nine models, three of them equal, costs until it is decided."""
    images, found, wrong = 0.0, 0.0, 0.0
    drawn = []
    for _ in range(tables):
        rates = rng.uniform(0.05, 0.95, 7)
        rates = np.concatenate([rates, rates[:1], rates[:1]])
        drawn.append(rates)
        each = race(rates, 5000, 256, rng)
        images, found, wrong = images + each[0] / 9, found + each[1], wrong + each[2]
    images, found = images / tables, found / tables
    fixed = next(
        n for n in range(256, 5001, 128)
        if n > 4800 or np.mean([fixed_power(rates, n, rng) for rates in drawn[:20]]) >= found
    )  # fmt: skip
    return (
        f"table of 9 models: {wrong / tables:.2%} ever wrong, {found:.1%} of real pairs found with "
        f"{images:.0f} images a model; a fixed number needs {fixed}"
    )


def lines(tables: int) -> Iterator[str]:
    """Yield the lines of the study."""
    rng = np.random.default_rng(0)
    found = [rate_misses(float(rate), tables, 2000, rng) for rate in RATES]
    yield f"rate, any of 2,000 images: misses {np.mean(found):.2%}, at most {max(found):.2%}"
    found = [rate_misses(float(rate), tables, 2000, rng, 2000) for rate in RATES]
    yield f"the same without replacement: misses {np.mean(found):.2%}, at most {max(found):.2%}"
    for k in (1, 4):
        found = [lead_misses(*some, k, tables, 1000, rng) for some in TIES_AND_LEADS]
        yield f"difference, {k} datasets: misses {np.mean(found):.2%}, at most {max(found):.2%}"
    for k in (2, 4, 14):
        yield f"mean of {k} datasets: misses {mean_misses(k, 0.1, tables // 4 + 1, 2000, rng):.2%}"
    yield race_line(tables // 10 + 1, rng)
    for width, rates in ((0.1, RATES), (0.04, RATES), (0.04, nano_full_rates())):
        fixed = int(np.ceil((2 * Z95 * 0.5 / width) ** 2))  # of this width at any rate
        drawn = [rng.random((tables // 40 + 1, 4 * fixed)) < rate for rate in rates]
        used = np.array([stops(right, width).mean() for right in drawn])
        yield (
            f"width {width}, {len(rates)} rates: {used.mean():.0f} images, {used[0]:.0f} at "
            f"{rates[0]:.0%}, {used.max():.0f} at most; a fixed number needs {fixed}, which "
            f"{(used < fixed).mean():.0%} of cells undercut"
        )


def nano_full_rates() -> Floats:
    """Return the accuracies of the attacked cells of `docs/nano_full`, the lowest first."""
    rows = load_results(Path(__file__).parents[2] / "docs" / "nano_full")
    return np.sort(rows.loc[rows["attack"] != "clean", "value"].to_numpy(float))


def main() -> None:
    """Print the study."""
    parser = argparse.ArgumentParser(prog="python -m tests.stats.sequential", description=__doc__)
    parser.add_argument("--tables", type=int, default=2000)
    for line in lines(parser.parse_args().tables):
        print(line, flush=True)


if __name__ == "__main__":
    main()

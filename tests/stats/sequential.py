"""Simulate sequential evaluation: coverage at every stopping time, and images saved.

python -m tests.stats.sequential               2,000 tables per line; minutes
python -m tests.stats.sequential --tables 200
python -m tests.stats.sequential --replay suites/nano_full.yaml   after a run of it
"""

import argparse
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench import load_results, load_suite
from bench.core.types import Values
from bench.results.board_cells import board_cells
from bench.results.tables import Scored
from bench.results.worst_case import survivors
from bench.stats import Z95, anytime_mean_interval, ranks
from bench.stats.anytime import THRESHOLD, log_wealth
from bench.stats.anytime_pairs import log_wealth_of_leads
from bench.store.results_folder import Store
from bench.store.snapshot import read_results
from bench.suite.load import Suite
from tests.stats.ranked_tables import race, random_rates, table_line

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
    missed = 0
    for _ in range(tables):
        drawn = rng.random((n, k))
        ahead = (drawn < (apart + of_dataset) / 2).sum(1).cumsum()
        behind = (drawn > 1 - (apart - of_dataset) / 2).sum(1).cumsum()
        equal = np.arange(k, n * k + 1, k) - ahead - behind
        missed += log_wealth_of_leads(ahead, behind, equal, lead).max() >= THRESHOLD
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
    few = tables // 4 + 1
    for models, ties, k in ((9, 0, 4), (9, 3, 4), (9, 3, 1), (20, 4, 4)):
        tables_of = [random_rates(models, ties, k, rng) for _ in range(few)]
        yield table_line(f"{models} models, {ties} equal, {k} datasets", tables_of, 5000, rng)
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


def replayed(suite: Suite, orders: int) -> Iterator[str]:
    """Yield what the ranks of a suite that was run would have taken, over orders of its images."""
    stored = read_results(suite, Store(Path("results"), suite.suite))
    groups: dict[tuple[str, str], list[list[Values]]] = defaultdict(list)
    scored = [Scored(*pair) for pair in stored.cells_with_results]
    for (_, *group), vectors in survivors(board_cells(suite, scored)).items():
        groups[group[0], group[1]].append(vectors)
    rng = np.random.default_rng(0)
    for group, models in groups.items():
        outcomes = np.array(models)  # models x datasets x images
        final, used, same = ranks([*outcomes]), [], []
        for _ in range(orders):
            drawn = rng.random(outcomes.shape[1:]).argsort(1)  # one order for all models
            shuffled = np.take_along_axis(outcomes, drawn[None], 2)
            each = race(shuffled)
            seen = [right[:, :n] for right, n in zip(shuffled, each.images, strict=True)]
            used.append(np.mean(each.images) / outcomes.shape[-1])
            found = ranks(seen, anytime=True, most=outcomes.shape[-1])
            same.append(np.mean(np.array(found) == final))
        yield (
            f"{' '.join(group)}: {np.mean(used):.0%} of {outcomes.shape[-1]} images give "
            f"{np.mean(same):.0%} of the ranks that all give"
        )


def main() -> None:
    """Print the study."""
    parser = argparse.ArgumentParser(prog="python -m tests.stats.sequential", description=__doc__)
    parser.add_argument("--tables", type=int, default=2000)
    parser.add_argument("--replay", metavar="SUITE", help="only: stored outcomes of a suite")
    options = parser.parse_args()
    suite = load_suite(options.replay) if options.replay else None
    for line in replayed(suite, 50) if suite else lines(options.tables):
        print(line, flush=True)


if __name__ == "__main__":
    main()

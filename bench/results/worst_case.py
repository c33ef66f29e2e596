"""Which images survive all attacks: the worst case of a row of the leaderboard."""

from collections.abc import Sequence

import numpy as np

from bench.core.types import Result, Values
from bench.results.board_cells import BoardCells, Flags, Ints, Key, places_by
from bench.results.tables import Scored
from bench.suite.metrics import metrics_of
from bench.suite.specs import eps_value


def worst_case_cells(cells: BoardCells) -> dict[Key, list[Scored]]:
    """Return per (model, threat, source) the cells that count in its worst case.

    These are its cells at the largest Linf radius; for white-box rows, those of the model under
    any threat.
    """
    return {
        key: [cells.items[place] for place in places.tolist()]
        for key, places in worst_case_places(cells).items()
    }


def worst_case_places(cells: BoardCells) -> dict[Key, Ints]:
    """Return the places of `worst_case_cells` among all cells."""
    arrays = cells.arrays
    at_largest = np.isin(arrays.column, _columns_at_largest(cells)) & (arrays.row >= 0)
    of_model = places_by(np.where(at_largest, arrays.model, -1), len(cells.models))
    of_row = places_by(np.where(at_largest, arrays.row, -1), len(cells.attacked))
    models = {name: place for place, name in enumerate(cells.models)}
    return {
        key: of_model[models[key[0]]] if key[1] == "white-box" else of_row[row]
        for row, key in enumerate(cells.attacked)
    }


def survivors(cells: BoardCells) -> dict[Key, list[Values]]:
    """Return per (model, threat, source) and dataset which images survive the worst case.

    For graded metrics, the lowest score of each image, divided by the best score. Keys are absent
    if a cell has no number or there is no Linf attack. Skipped cells do not count: their attack is
    not defined for the dataset.
    """
    found = {key: _worst(cells, places) for key, places in worst_case_places(cells).items()}
    return {key: vectors for key, vectors in found.items() if vectors is not None}


def stopped_early(cells: BoardCells) -> set[Key]:
    """Return the (model, threat, source) with a cell in its worst case that stopped early.

    Cells of images made by others never do.
    """
    anytime = cells.arrays.anytime
    return {key for key, places in worst_case_places(cells).items() if anytime[places].any()}


def attacked_counts(cells: BoardCells) -> list[int]:
    """Return per dataset the number of attacked images; 0 if no attack ran."""
    arrays = cells.arrays
    attacked = np.flatnonzero((arrays.row >= 0) & (arrays.samples > 0) & main_metric(cells))
    last = dict(zip(arrays.dataset[attacked].tolist(), attacked.tolist(), strict=True))
    datasets = range(len(cells.suite.datasets))
    return [cells.items[last[each]].images if each in last else 0 for each in datasets]


def main_metric(cells: BoardCells) -> Flags:
    """Return for each cell whether it has the main metric, whose columns come first."""
    metrics = len(metrics_of(cells.suite.datasets[0]))
    return np.asarray(cells.arrays.column < len(cells.columns) // metrics)


def _columns_at_largest(cells: BoardCells) -> list[int]:
    """Return the columns of the main metric at the largest Linf radius."""
    attacks = [attack for attack in cells.suite.attacks if attack.norm == "linf"]
    largest = max((eps_value(eps) for attack in attacks for eps in attack.eps), default=None)
    return [
        cells.columns.index(attack.column(eps))
        for attack in attacks
        for eps in attack.eps
        if eps_value(eps) == largest
    ]


def _worst(cells: BoardCells, places: Ints) -> list[Values] | None:
    """Return per dataset the lowest score of each image, or None if a cell has no number."""
    ran = places[~cells.arrays.skipped[places]]
    if np.isnan(cells.arrays.value[ran]).any():
        return None
    by_dataset = places_by(cells.arrays.dataset[ran], len(cells.suite.datasets))
    if not all(map(len, by_dataset)):
        return None
    return [_lowest([cells.items[at] for at in ran[some].tolist()]) for some in by_dataset]


def _lowest(items: Sequence[Scored]) -> Values:
    """Return the lowest score of each image.

    Cells that stop when they are precise enough have fewer images, so the fewest count.
    """
    results = [item.result for item in items if item.result is not None]
    n = min(result.size for result in results)
    if not items[0].metric.graded:
        return _right_in_all(results, n)
    vectors = [shares for item in items if (shares := item.shares) is not None]
    return np.asarray(np.minimum.reduce([vector[:n] for vector in vectors]))


def _right_in_all(results: Sequence[Result], n: int) -> Values:
    width = (n + 7) // 8
    packed = np.frombuffer(b"".join([result.bits[:width] for result in results]), np.uint8)
    in_all = np.bitwise_and.reduce(packed.reshape(len(results), width))
    return np.unpackbits(in_all, count=n).view(np.bool_)

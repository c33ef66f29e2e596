"""Which cells get more images, where images are drawn until the ranks of models are settled.

All models begin with few images. Then those models get more whose ranks further images may settle,
and so on. The rounds are replayed from stored outcomes alone: a run that was stopped goes on to
the same end, and outcomes of another rule are used again.
"""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping

from bench.core.types import Values
from bench.plan.cells import Cell
from bench.plan.looks import looks, unit_of
from bench.results.board_cells import Key, board_cells
from bench.results.tables import Scored, load_scored
from bench.results.worst_case import survivors
from bench.stats import undecided
from bench.store.snapshot import Results


def next_round(results: Results, failed: Collection[str] = ()) -> list[Cell]:
    """Return the cells that need more images, with the images that they need.

    Those of the models that are nearest to a decision come first. The list is empty if all ranks
    are settled.

    Args:
        results: The stored results of a suite with `until: {ranked: ...}`.
        failed: Ids of cells that are not tried again; their models have no rank.
    """
    suite = results.suite
    counts = {name: len(found.sample_ids) for name, found in results.lock.datasets.items()}
    most = min(counts.values(), default=suite.most_samples)
    ends = looks(unit_of(suite), most)
    scored = load_scored(results, examined={})
    rows: dict[Key, dict[str, Scored]] = defaultdict(dict)
    for item in scored:
        if item.cell.ends and item.cell.threat:
            key = (item.cell.target, item.cell.threat.kind, item.source)
            rows[key][item.cell.id] = item
    known = {
        key: vectors
        for key, vectors in survivors(board_cells(suite, scored)).items()
        if key in rows and key[0] in suite.compared
    }
    places = dict.fromkeys(rows, 0)
    while True:
        short = {
            id_: item.cell._replace(ends=ends[: place + 1])
            for key, place in places.items()
            for id_, item in rows[key].items()
            if _lacks(item, min(ends[place], counts.get(item.cell.dataset, most)), failed)
        }
        if short:
            return list(short.values())
        sizes = {key: ends[places[key]] for key in known}
        more = {key: places[key] + 1 for key in _open_rows(known, sizes, most)}
        if not more:
            return []
        places = _with_white_box(more | {k: p for k, p in places.items() if k not in more})


def _lacks(item: Scored, images: int, failed: Collection[str]) -> bool:
    """Return whether a cell has fewer images than it needs."""
    if item.cell.id in failed or item.skipped:
        return False
    return item.shares is None or len(item.shares) < images


def _open_rows(
    known: Mapping[Key, list[Values]], sizes: Mapping[Key, int], most: int
) -> Iterator[Key]:
    """Yield the rows whose ranks are not settled by their first images.

    Args:
        known: Per row of the leaderboard and dataset, which images survive the worst case.
        sizes: Per row, how many of the images count.
        most: Number of images of the smallest dataset.
    """
    groups: dict[tuple[str, str], list[Key]] = defaultdict(list)
    for key in sorted(known):  # so that the order of models in the suite changes nothing
        groups[key[1:]].append(key)
    for keys in groups.values():
        models = [[values[: sizes[key]] for values in known[key]] for key in keys]
        for place in undecided(models, most):
            yield keys[place]


def _with_white_box(places: Mapping[Key, int]) -> dict[Key, int]:
    """Return the places of rows, where transferred images are no fewer than white-box images.

    They count in the worst case of the white-box row.
    """
    return {
        key: max(place, places.get((key[0], "white-box", ""), 0)) for key, place in places.items()
    }

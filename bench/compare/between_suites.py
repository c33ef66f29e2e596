"""Paired tests between models of two suites, where images, attack and protocol are the same."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from bench.compare.compared_results import Protocol, protocol_differences
from bench.compare.difference_families import DifferenceFamily, tested
from bench.compare.differences import ComparisonLabel, DatasetScores
from bench.compare.numbers_by_row import Row, SuiteNumbers
from bench.compare.paired import ComparisonTables
from bench.compare.published_number import MEAN
from bench.core.resolved_names import UNRESOLVED
from bench.plan.cells import Cell
from bench.results.tables import Scored

_OTHER_ATTACKS = "attacks or seeds behind the number"
# fields of a protocol with hashes, which mean nothing to a reader
_IN_WORDS = {
    "content": "content of the dataset",
    "image_ids": "images",
    "images": "images",
    "class_names": "class names",
    "templates_hash": "prompts",
    "images_hash": "images made by others",
    "source_weights.hash": "weights of the source",
}
_Place = tuple[str, str, str, str, str, str]  # of a number: its row, dataset and metric


@dataclass(frozen=True, slots=True)
class _Number:
    """A number of a model on one dataset, with the cells behind it."""

    scores: DatasetScores
    cells: tuple[Scored, ...]


def between_suites(
    first: SuiteNumbers, second: SuiteNumbers, models: Sequence[tuple[str, str]]
) -> Iterator[ComparisonTables]:
    """Compare models of one suite with models of another, where both have a number.

    A difference has a test if both numbers are on the same images under the same protocol, with the
    same attacks. Otherwise it has no numbers, and its label says what differs. The tests of two
    models are corrected for the number of tests between these two.

    Args:
        first: The suite of the first model of each pair.
        second: The suite of the second model.
        models: Pairs of models.

    Yields:
        The differences of each pair.
    """
    theirs = {_place(row, d.name, row.metric_on(d)): (row, place)
              for row in second.rows for place, d in enumerate(second.suite.datasets)}  # fmt: skip
    same = sorted(d.name for d in first.suite.datasets) == sorted(
        d.name for d in second.suite.datasets
    )
    families = [_families(first, second, pair, theirs, same) for pair in models]
    means = tested([found for found, _ in families])
    per_dataset = tested([found for _, found in families])
    yield from map(ComparisonTables, means, per_dataset)


def _families(
    first: SuiteNumbers,
    second: SuiteNumbers,
    models: tuple[str, str],
    theirs: Mapping[_Place, tuple[Row, int]],
    same_datasets: bool,
) -> tuple[DifferenceFamily, DifferenceFamily]:
    """Return the means over the datasets, if both suites have the same, and the single datasets."""
    means, per_dataset = DifferenceFamily(), DifferenceFamily()
    for row in first.rows:
        pairs, reasons = [], dict[str, None]()
        for place, dataset in enumerate(first.suite.datasets):
            metric = row.metric_on(dataset)
            found = theirs.get(_place(row, dataset.name, metric))
            ours = _number(first, row, models[0], place)
            other = found and _number(second, found[0], models[1], found[1])
            if ours is None or not other:
                continue
            differs = dict.fromkeys(_differing(first, second, ours, other))
            reasons |= differs
            pairs.append((ours, other))
            _add(per_dataset, _label(models, row, metric, dataset.name, differs), [pairs[-1]])
        if pairs and same_datasets and len(pairs) == len(first.suite.datasets):
            _add(means, _label(models, row, row.metric, MEAN, reasons), pairs)
    return means, per_dataset


def _add(
    family: DifferenceFamily, label: ComparisonLabel, pairs: Sequence[tuple[_Number, _Number]]
) -> None:
    """Add a mean of two numbers per dataset; without a test if their protocols differ."""
    ours = [None if label.differs else number.scores for number, _ in pairs]
    family.add(label, ours, [number.scores for _, number in pairs])


def _label(
    models: tuple[str, str], row: Row, metric: str, dataset: str, differs: Mapping[str, None]
) -> ComparisonLabel:
    return ComparisonLabel(
        *models, row.threat, row.source, row.attack, row.eps, metric, dataset,
        differs="; ".join(differs),
    )  # fmt: skip


def _place(row: Row, dataset: str, metric: str) -> _Place:
    return row.threat, row.source, row.attack, row.eps, dataset, metric


def _number(numbers: SuiteNumbers, row: Row, model: str, place: int) -> _Number | None:
    """Return the number of a model on a suite's dataset; None if it has none."""
    found = numbers.rows[row].get(model)
    if found is None or (scores := found.scores[place]) is None:
        return None
    dataset = numbers.suite.datasets[place].name
    own = (item for item in found.cells if item.cell.dataset == dataset)
    return _Number(scores, tuple(item for item in own if item.shares is not None))


def _differing(
    first: SuiteNumbers, second: SuiteNumbers, ours: _Number, theirs: _Number
) -> Iterator[str]:
    """Yield in words in what two numbers differ, beside their models."""
    one, other = (
        {_key(item.cell): item.cell.id for item in number.cells} for number in (ours, theirs)
    )
    if one.keys() != other.keys():
        yield _OTHER_ATTACKS
        return
    for key, cell_id in one.items():
        entries = (first.results.protocols[cell_id], second.results.protocols[other[key]])
        for field, value, instead in protocol_differences(*entries):
            values = f"{value} in {first.suite.suite}, {instead} in {second.suite.suite}"
            yield _IN_WORDS.get(field, f"{field} ({values})")
        if any(map(_is_unknown, entries)):
            yield "hashes of images or weights are missing"


def _key(cell: Cell) -> tuple[str, str, str, str, int]:
    """Return the names of a cell beside its target, dataset and metric."""
    kind, source = (cell.threat.kind, cell.threat.source or "") if cell.threat else ("", "")
    label = cell.attack.label_in_norm if cell.attack else ""
    return kind, source, label, cell.eps, cell.seed if cell.attack else 0


def _is_unknown(entry: Protocol) -> bool:
    found = entry.get("source_weights", [])
    sources = found if isinstance(found, list) else [found]
    return UNRESOLVED in (entry["content"], *(source["hash"] for source in sources))

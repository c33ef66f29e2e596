"""Results arranged for a comparison: per row of the table, the per-image scores of each model."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from bench.compare.compared_results import (
    ComparedResults,
    Protocol,
    protocol_differences,
    same_weights,
)
from bench.compare.differences import AND, DatasetScores
from bench.core.types import CLEAN, REACHED, WORST
from bench.results.board_cells import board_cells
from bench.results.tables import SAME_SOURCE, Scored
from bench.results.worst_case import survivors, worst_case_cells
from bench.suite.load import Suite
from bench.suite.metrics import metrics_of
from bench.suite.specs import DatasetSpec, eps_value

OTHER_WEIGHTS = "other-weights"


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a comparison; for its fields see `bench.compare.differences.ComparisonLabel`."""

    threat: str
    source: str
    attack: str
    eps: str
    metric: str

    @property
    def threat_and_source(self) -> tuple[str, str]:
        """The threat and the source model."""
        return self.threat, self.source

    def metric_on(self, dataset: DatasetSpec) -> str:
        """Return the metric of the row on one dataset."""
        first = metrics_of(dataset)[0].name
        return first if first in self.metric.split(AND) else self.metric


@dataclass(frozen=True, slots=True)
class Numbers:
    """The numbers of one model in one row.

    Attributes:
        scores: Per dataset, in the suite's order; None where there is no number.
        cells: Cells that the numbers come from.
    """

    scores: tuple[DatasetScores | None, ...]
    cells: tuple[Scored, ...]


@dataclass(frozen=True, slots=True)
class SuiteNumbers:
    """The numbers of a suite, arranged for comparisons.

    Attributes:
        suite: The suite.
        results: Its results.
        rows: Its numbers by row and model.
    """

    suite: Suite
    results: ComparedResults
    rows: Mapping[Row, Mapping[str, Numbers]]


def suite_numbers(suite: Suite, results: ComparedResults) -> SuiteNumbers:
    """Return the numbers of a suite's results."""
    return SuiteNumbers(suite, results, numbers_by_row(suite, results))


def numbers_by_row(suite: Suite, results: ComparedResults) -> dict[Row, dict[str, Numbers]]:
    """Return the numbers by row and model, grouped by threat, with the worst case last."""
    cells: dict[Row, dict[str, list[Scored]]] = {}
    for item in results.scored:
        of_row = cells.setdefault(_row(suite, item), {})
        of_row.setdefault(item.cell.target, []).append(item)
    found = {
        row: {model: Numbers(_scores(suite, some), tuple(some)) for model, some in models.items()}
        for row, models in cells.items()
    }
    for row, model, numbers in _worst(suite, results):
        found.setdefault(row, {})[model] = numbers
    threats = list(dict.fromkeys(row.threat_and_source for row in found))
    return dict(sorted(found.items(), key=lambda pair: threats.index(pair[0].threat_and_source)))


def differing_fields(
    both: tuple[ComparedResults, ComparedResults],
    first: Sequence[Scored],
    second: Sequence[Scored],
) -> list[str]:
    """Return in what the protocols of two numbers differ: `pixels: native, 224 crop`."""
    return list(
        dict.fromkeys(
            f"{field}: {ours}, {theirs}"
            for pair in _entries(both, first, second)
            for field, ours, theirs in protocol_differences(*pair)
        )
    )


def flags(
    both: tuple[ComparedResults, ComparedResults],
    source: str,
    first: Sequence[Scored],
    second: Sequence[Scored],
) -> str:
    """Return the flags of two numbers' cells, and `other-weights` if a model's weights differ.

    A white-box row has no source. Its worst case includes transferred images, and images crafted on
    the model itself are no weaker there, so `source=target` is left out. `reached=` (how often a
    target was reached) describes one of the two numbers only and is left out, too.
    """
    found: dict[str, None] = {}
    for item in (*first, *second):
        found |= {SAME_SOURCE: None} if source and item.cell.same_source else {}
        own = item.result.flags if item.result else ()
        found |= dict.fromkeys(flag for flag in own if not flag.startswith(REACHED))
    for ours, theirs in _entries(both, first, second):
        if ours["model"] == theirs["model"] and not same_weights(ours, theirs):
            found[OTHER_WEIGHTS] = None
    return " ".join(found)


def _entries(
    both: tuple[ComparedResults, ComparedResults],
    first: Sequence[Scored],
    second: Sequence[Scored],
) -> Iterator[tuple[Protocol, Protocol]]:
    """Yield both protocols for each dataset and seed for which both cells have a number."""
    for ours, theirs in zip(first, second, strict=True):
        if ours.shares is not None and theirs.shares is not None:
            yield both[0].protocols[ours.cell.id], both[1].protocols[theirs.cell.id]


def _row(suite: Suite, item: Scored) -> Row:
    cell = item.cell
    metric = _main_metrics(suite) if item.metric.is_main else cell.metric
    if cell.attack is None or cell.threat is None:
        return Row("", "", CLEAN, "", metric)
    source = cell.threat.source or ""
    return Row(cell.threat.kind, source, cell.attack.label_in_norm, cell.eps, metric)


def _main_metrics(suite: Suite) -> str:
    """Return the main metrics of all datasets, joined: a row shows the mean over them."""
    return AND.join(dict.fromkeys(metrics_of(dataset)[0].name for dataset in suite.datasets))


def _scores(suite: Suite, cells: Sequence[Scored]) -> tuple[DatasetScores | None, ...]:
    return tuple(
        _scores_of_dataset([item for item in cells if item.cell.dataset == dataset.name])
        for dataset in suite.datasets
    )


def _scores_of_dataset(seeds: Sequence[Scored]) -> DatasetScores | None:
    """Return the scores of the cells of one dataset, one cell per seed of the attack."""
    vectors = [item.shares for item in seeds]
    known = tuple(vector for vector in vectors if vector is not None)
    if not known or len(known) < len(vectors):
        return None
    (first, *_) = seeds
    assert first.result is not None
    return DatasetScores(known, first.result.sample_ids, first.images, first.anytime)


def _worst(suite: Suite, results: ComparedResults) -> Iterator[tuple[Row, str, Numbers]]:
    """Yield the worst cases; those of white-box rows include transferred images."""
    radii = [eps for attack in suite.attacks if attack.norm == "linf" for eps in attack.eps]
    if not radii:
        return
    arrays = board_cells(suite, results.scored)
    survived = survivors(arrays)
    for key, cells in worst_case_cells(arrays).items():
        model, threat, source = key
        sequential = any(item.anytime for item in cells)
        ids = {
            item.cell.dataset: (item.result.sample_ids, item.images)
            for item in cells
            if item.result is not None and item.shares is not None
        }
        scores = tuple(
            # cells that stop early have survivors among the images of the shortest
            DatasetScores((shares,), ids[dataset.name][0][: len(shares)], len(shares), True)
            if sequential
            else DatasetScores((shares,), *ids[dataset.name], False)
            for dataset, shares in zip(suite.datasets, survived.get(key, ()), strict=False)
        )
        nothing = (None,) * len(suite.datasets)
        row = Row(threat, source, WORST, max(radii, key=eps_value), _main_metrics(suite))
        yield row, model, Numbers(scores or nothing, tuple(cells))

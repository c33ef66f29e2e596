"""One side's numbers laid out for comparison: what each model got right of each dataset."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bench.compare.differences import AND, Outcome
from bench.compare.sources import Protocol, Side, differences, same_weights
from bench.core.types import REACHED
from bench.results.leaderboard import counted, survivors
from bench.results.tables import SAME_SOURCE, Scored
from bench.suite.load import Suite
from bench.suite.metrics import metrics_of
from bench.suite.specs import DatasetSpec, eps_value

WORST = "worst"
OTHER_WEIGHTS = "other-weights"


@dataclass(frozen=True, slots=True)
class Row:
    """What a model's numbers on all datasets are of; see `bench.compare.differences.Label`."""

    threat: str
    source: str
    attack: str
    eps: str
    metric: str

    @property
    def of_threat(self) -> tuple[str, str]:
        """The threat with its source."""
        return self.threat, self.source

    def metric_on(self, dataset: DatasetSpec) -> str:
        """Return the metric on one dataset, where those of several make up the row."""
        first = metrics_of(dataset)[0].name
        return first if first in self.metric.split(AND) else self.metric


@dataclass(frozen=True, slots=True)
class Numbers:
    """Numbers of one model in one row.

    Attributes:
        outcomes: By dataset, in the suite's order; None where there is no number.
        cells: What they are made of.
    """

    outcomes: tuple[Outcome | None, ...]
    cells: tuple[Scored, ...]


def laid_out(suite: Suite, side: Side) -> dict[Row, dict[str, Numbers]]:
    """Return a side's numbers by row and model: threat by threat, its worst case last."""
    cells: dict[Row, dict[str, list[Scored]]] = {}
    for item in side.scored:
        of_row = cells.setdefault(_row(suite, item), {})
        of_row.setdefault(item.cell.target, []).append(item)
    found = {
        row: {model: Numbers(_outcomes(suite, some), tuple(some)) for model, some in models.items()}
        for row, models in cells.items()
    }
    for row, model, numbers in _worst(suite, side):
        found.setdefault(row, {})[model] = numbers
    threats = list(dict.fromkeys(row.of_threat for row in found))
    return dict(sorted(found.items(), key=lambda pair: threats.index(pair[0].of_threat)))


def differing(
    sides: tuple[Side, Side], first: Sequence[Scored], second: Sequence[Scored]
) -> list[str]:
    """Return in what the protocols of the cells of two numbers differ."""
    return list(
        dict.fromkeys(
            text for pair in _entries(sides, first, second) for text in differences(*pair)
        )
    )


def flags(
    sides: tuple[Side, Side], source: str, first: Sequence[Scored], second: Sequence[Scored]
) -> str:
    """Return the flags of the cells of two numbers of a row, and whether a model has two weights.

    A white-box row, which has no source, has the transferred images in its worst case: that some
    of them are of the model itself weakens nothing there. How often a target was reached is a
    number of one side, and is left out.
    """
    found: dict[str, None] = {}
    for item in (*first, *second):
        found |= {SAME_SOURCE: None} if source and item.same_source else {}
        own = item.result.flags if item.result else ()
        found |= dict.fromkeys(flag for flag in own if not flag.startswith(REACHED))
    for ours, theirs in _entries(sides, first, second):
        if ours["model"] == theirs["model"] and not same_weights(ours, theirs):
            found[OTHER_WEIGHTS] = None
    return " ".join(found)


def _entries(
    sides: tuple[Side, Side], first: Sequence[Scored], second: Sequence[Scored]
) -> Iterator[tuple[Protocol, Protocol]]:
    """Yield both protocols of each dataset and seed that has a number on either side."""
    for ours, theirs in zip(first, second, strict=True):
        if ours.shares is not None and theirs.shares is not None:
            yield sides[0].protocols[ours.cell.id], sides[1].protocols[theirs.cell.id]


def _row(suite: Suite, item: Scored) -> Row:
    cell = item.cell
    metric = _standing(suite) if item.metric.is_main else cell.metric
    if cell.attack is None or cell.threat is None:
        return Row("", "", "clean", "", metric)
    source = cell.threat.source or ""
    return Row(cell.threat.kind, source, cell.attack.label_in_norm, cell.eps, metric)


def _standing(suite: Suite) -> str:
    """Return the metrics that stand for the datasets' tasks: one number is the mean of them all."""
    return AND.join(dict.fromkeys(metrics_of(dataset)[0].name for dataset in suite.datasets))


def _outcomes(suite: Suite, cells: Sequence[Scored]) -> tuple[Outcome | None, ...]:
    return tuple(
        _outcome([item for item in cells if item.cell.dataset == dataset.name])
        for dataset in suite.datasets
    )


def _outcome(seeds: Sequence[Scored]) -> Outcome | None:
    """Return the outcome of the cells of one dataset, one per seed of the attack."""
    vectors = [item.shares for item in seeds]
    known = tuple(vector for vector in vectors if vector is not None)
    if not known or len(known) < len(vectors):
        return None
    (first, *_) = seeds
    assert first.result is not None
    return Outcome(known, first.result.sample_ids, first.images)


def _worst(suite: Suite, side: Side) -> Iterator[tuple[Row, str, Numbers]]:
    """Yield the worst cases; those of a white-box row are also of what transferred images break."""
    radii = [eps for attack in suite.attacks if attack.norm == "linf" for eps in attack.eps]
    if not radii:
        return
    survived = survivors(suite, side.scored)
    for key, cells in counted(suite, side.scored).items():
        model, threat, source = key
        ids = {
            item.cell.dataset: (item.result.sample_ids, item.images)
            for item in cells
            if item.result is not None and item.shares is not None
        }
        outcomes = tuple(
            Outcome((shares,), *ids[dataset.name])
            for dataset, shares in zip(suite.datasets, survived.get(key, ()), strict=False)
        )
        nothing = (None,) * len(suite.datasets)
        row = Row(threat, source, WORST, max(radii, key=eps_value), _standing(suite))
        yield row, model, Numbers(outcomes or nothing, tuple(cells))

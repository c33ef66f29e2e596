"""Compare models with a baseline, with other stored results, or with published numbers."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from itertools import combinations
from pathlib import Path

from bench.compare.compared_results import ComparedResults, other_results, own_results
from bench.compare.difference_families import DifferenceFamily, tested
from bench.compare.differences import ComparisonLabel, Difference
from bench.compare.numbers_by_row import (
    Numbers,
    Row,
    SuiteNumbers,
    differing_fields,
    flags,
    numbers_by_row,
)
from bench.compare.published import given, read_published
from bench.compare.published_number import MEAN
from bench.compare.verdicts import Comparison, compare, printed
from bench.core.errors import UserError
from bench.core.suggestions import listed
from bench.results.tables import load_scored
from bench.stats import unpaired_interval
from bench.store.snapshot import Results
from bench.suite.load import Suite


@dataclass(frozen=True, slots=True)
class ComparisonTables:
    """Differences; the means and the single datasets are two families of tests.

    Attributes:
        means: Differences of means over datasets, or from published numbers.
        per_dataset: Differences on each dataset.
        excluded: Number of published numbers left out because their protocols differ.
    """

    means: Sequence[Difference]
    per_dataset: Sequence[Difference] = ()
    excluded: int = 0


def with_baseline(results: Results, baseline: str, force: bool) -> ComparisonTables:
    """Compare each model of a suite with one of its models.

    Args:
        results: Stored results of the suite.
        baseline: Name of the model to compare with.
        force: Whether to compare numbers whose protocols differ, and flag them.

    Raises:
        UserError: The suite has no results, does not score the baseline, or has no other model; or
            protocols differ.
    """
    suite, ours = results.suite, own_results(results)
    names = _scored_models(suite, ours)
    if baseline not in names:
        raise UserError(f"--baseline: got {baseline!r}; allowed: {listed(baseline, names)}")
    if len(names) == 1:
        raise UserError(
            f"--baseline: suite {suite.suite} has no other model to compare with {baseline!r}"
        )
    pairs = [(name, baseline) for name in names if name != baseline]
    label = partial(ComparisonLabel, baseline=baseline)
    return _compared(suite, pairs, (ours, ours), label, force)


def with_results(results: Results, folder: Path, force: bool) -> ComparisonTables:
    """Compare each model of a suite with itself in another results folder, cell by cell.

    Args:
        results: Stored results of the suite.
        folder: Other results of one suite. Cells are matched by their names, not by their ids.
        force: Whether to compare numbers whose protocols differ, and flag them.

    Raises:
        UserError: The folder has no results, or none for the suite's cells; or protocols differ.
    """
    suite, ours = results.suite, own_results(results)
    theirs = other_results(suite, [item.cell for item in ours.scored], folder)
    if not theirs.protocols:
        raise UserError(f"--with: {folder}: has none of the cells of suite {suite.suite}")
    label = partial(ComparisonLabel, baseline=str(folder))
    return _compared(
        suite, [(name, name) for name in _scored_models(suite, ours)], (ours, theirs), label, force
    )


def _scored_models(suite: Suite, results: ComparedResults) -> list[str]:
    """Return the models that are scored, without models that are only a source of a transfer."""
    found = {item.cell.target for item in results.scored}
    return [name for name in suite.models if name in found]


def with_published(results: Results, file: str, force: bool) -> ComparisonTables:
    """Compare a suite's numbers with published numbers; there is no test, since the images differ.

    Args:
        results: Stored results of the suite.
        file: File of published numbers.
        force: Whether to compare numbers whose protocols differ, and flag them.

    Raises:
        UserError: The file is invalid, has no number for what was measured, or no number of the
            same protocol.
    """
    suite, published = results.suite, read_published(given(file))
    found, _ = compare(suite, load_scored(results), published)
    measured = [item for item in found if item.measured is not None]
    equal = [item for item in measured if item.verdict != "cannot be compared"]
    if not measured:
        raise UserError(f"--against: {file}: has no number for what suite {suite.suite} measured")
    if not equal and not force:
        raise _protocols_differ(Counter(item.why for item in measured))
    shown = measured if force else equal
    return ComparisonTables(
        [_published(item) for item in shown], excluded=len(measured) - len(shown)
    )


def _published(item: Comparison) -> Difference:
    row, measured = item.published, item.measured
    assert measured is not None
    threat, _, source = item.threat.partition(" from ")
    label = ComparisonLabel(
        row.model, f"{row.paper} {row.table}".strip(), threat, source, item.attack, row.eps,
        row.metric, row.dataset, differs=item.why,
    )  # fmt: skip
    interval = unpaired_interval(measured, printed(row))
    return Difference(label, item.n, measured.value, row.value, *interval)


def _compared(
    suite: Suite,
    models: Sequence[tuple[str, str]],
    both: tuple[ComparedResults, ComparedResults],
    label: Callable[..., ComparisonLabel],
    force: bool,
) -> ComparisonTables:
    if not both[0].protocols:
        raise UserError(f"suite {suite.suite}: no results are stored; run the suite first")
    first, second = (numbers_by_row(suite, results) for results in both)
    means, per_dataset, differing = _families(suite, models, both, (first, second), label)
    if differing and not force:
        raise _protocols_differ(differing)
    return ComparisonTables(tested([means])[0], tested([per_dataset])[0])


def between_models(
    numbers: SuiteNumbers, models: Sequence[str]
) -> Iterator[tuple[str, str, ComparisonTables]]:
    """Compare each model with each later one; numbers whose protocols differ have a label.

    The tests of two models are corrected for the number of tests between these two only.

    Args:
        numbers: The numbers of a suite.
        models: Names of the models; those without results are left out.

    Yields:
        Both models, and their differences.
    """
    scored = {item.cell.target for item in numbers.results.scored}
    pairs = list(combinations([name for name in models if name in scored], 2))
    both, rows = (numbers.results, numbers.results), (numbers.rows, numbers.rows)
    families = [
        _families(numbers.suite, [pair], both, rows, partial(ComparisonLabel, baseline=pair[1]))
        for pair in pairs
    ]
    means = tested([found for found, _, _ in families])
    per_dataset = tested([found for _, found, _ in families])
    for (first, second), of_means, of_datasets in zip(pairs, means, per_dataset, strict=True):
        yield first, second, ComparisonTables(of_means, of_datasets)


def _families(
    suite: Suite,
    models: Sequence[tuple[str, str]],
    both: tuple[ComparedResults, ComparedResults],
    rows: tuple[Mapping[Row, Mapping[str, Numbers]], Mapping[Row, Mapping[str, Numbers]]],
    label: Callable[..., ComparisonLabel],
) -> tuple[DifferenceFamily, DifferenceFamily, Counter[str]]:
    """Return the means, the single datasets, and how many numbers differ in each protocol field."""
    means, per_dataset = DifferenceFamily(), DifferenceFamily()
    differing: Counter[str] = Counter()
    for row, ours_by_model in rows[0].items():
        for model, other in models:
            ours, theirs = ours_by_model[model], rows[1][row][other]
            differs = differing_fields(both, ours.cells, theirs.cells)
            differing.update(differs)
            known = partial(
                label, model=model, **asdict(row), differs="; ".join(differs),
                flags=flags(both, row.source, ours.cells, theirs.cells),
            )  # fmt: skip
            means.add(known(dataset=MEAN), ours.scores, theirs.scores)
            by_dataset = zip(suite.datasets, ours.scores, theirs.scores, strict=True)
            for dataset, our_scores, their_scores in by_dataset:
                named = known(dataset=dataset.name, metric=row.metric_on(dataset))
                per_dataset.add(named, [our_scores], [their_scores])
    return means, per_dataset, differing


def _protocols_differ(reasons: Counter[str]) -> UserError:
    """Return the error that lists the differing fields of the protocols."""
    lines = [
        f"  {reason}" + f" ({count} numbers)" * (count > 1) for reason, count in reasons.items()
    ]
    return UserError(
        "\n".join(
            [
                "protocols differ, so these numbers cannot be compared. Differing fields, first of "
                "this suite, then of what it is compared with:",
                *lines,
                "`--force` compares them and flags the differences",
            ]
        )
    )

"""What `compare` finds: models against one of them, results against results, or against print."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from bench.compare.differences import Delta, Label, Outcome, Pair, deltas
from bench.compare.outcomes import differing, flags, laid_out
from bench.compare.published import MEAN, given, read_published
from bench.compare.sources import Side, other_side, own_side
from bench.compare.verdicts import Comparison, compare, printed
from bench.core.errors import UserError
from bench.results.tables import load_scored
from bench.stats import difference
from bench.store.snapshot import Results
from bench.suite.load import Suite


@dataclass(frozen=True, slots=True)
class Found:
    """Differences; each of the two kinds is one family of tests.

    Attributes:
        whole: Of means over datasets, or of whatever is printed.
        parts: Of each dataset that those are means of.
        refused: How many published numbers are of other protocols, and left out.
    """

    whole: Sequence[Delta]
    parts: Sequence[Delta] = ()
    refused: int = 0


def with_baseline(results: Results, baseline: str, force: bool) -> Found:
    """Compare each model of a suite with one of them.

    Args:
        results: What is stored of a suite.
        baseline: Name of the one.
        force: Compare what protocols differ of, too, and mark it.

    Raises:
        UserError: The suite scores no such baseline, nothing is stored, or protocols differ.
    """
    suite, side = results.suite, own_side(results)
    names = _scored(suite, side)
    if baseline not in names:
        raise UserError(f"--baseline: got {baseline!r}; models: {', '.join(names)}")
    if len(names) == 1:
        raise UserError(f"--baseline: suite {suite.suite} has no model but {baseline!r}")
    pairs = [(name, baseline) for name in names if name != baseline]
    label = partial(Label, baseline=baseline)
    return _compared(suite, pairs, (side, side), label, force)


def with_results(results: Results, folder: Path, force: bool) -> Found:
    """Compare each model of a suite with itself in another results folder, by the names of cells.

    Args:
        results: What is stored of a suite.
        folder: The other results, of one suite.
        force: Compare what protocols differ of, too, and mark it.

    Raises:
        UserError: The folder holds no results or none of these cells, or protocols differ.
    """
    suite, ours = results.suite, own_side(results)
    theirs = other_side(suite, [item.cell for item in ours.scored], folder)
    if not theirs.protocols:
        raise UserError(f"--with: {folder}: has none of the cells of suite {suite.suite}")
    label = partial(Label, baseline=str(folder))
    return _compared(
        suite, [(name, name) for name in _scored(suite, ours)], (ours, theirs), label, force
    )


def _scored(suite: Suite, side: Side) -> list[str]:
    """Return the models that have cells, not those that others' images are crafted on alone."""
    found = {item.cell.target for item in side.scored}
    return [name for name in suite.models if name in found]


def with_published(results: Results, file: str, force: bool) -> Found:
    """Compare a suite's numbers with published ones, whose images are others: there is no test.

    Args:
        results: What is stored of a suite.
        file: Published numbers.
        force: Compare what protocols differ of, too, and mark it.

    Raises:
        UserError: The file is at fault, has no number of what was measured, or none of the same
            protocol.
    """
    suite, published = results.suite, read_published(given(file))
    found, _ = compare(suite, load_scored(results), published)
    measured = [item for item in found if item.measured is not None]
    equal = [item for item in measured if item.verdict != "cannot be compared"]
    if not measured:
        raise UserError(f"--against: {file}: has no number of what suite {suite.suite} measured")
    if not equal and not force:
        raise _refusal(Counter(item.why for item in measured))
    shown = measured if force else equal
    return Found([_published(item) for item in shown], refused=len(measured) - len(shown))


def _published(item: Comparison) -> Delta:
    row, measured = item.published, item.measured
    assert measured is not None
    threat, _, source = item.threat.partition(" from ")
    label = Label(
        row.model, f"{row.paper} {row.table}".strip(), threat, source, item.attack, row.eps,
        row.metric, row.dataset, differs=item.why,
    )  # fmt: skip
    interval = difference(measured, printed(row))
    return Delta(label, item.n, measured.value, row.value, *interval)


def _compared(
    suite: Suite,
    models: Sequence[tuple[str, str]],
    sides: tuple[Side, Side],
    label: Callable[..., Label],
    force: bool,
) -> Found:
    if not sides[0].protocols:
        raise UserError(f"suite {suite.suite}: nothing is stored; run it first")
    first, second = (laid_out(suite, side) for side in sides)
    means, parts = _Family(), _Family()
    refused: Counter[str] = Counter()
    for row in first:
        for model, other in models:
            ours, theirs = first[row][model], second[row][other]
            differs = differing(sides, ours.cells, theirs.cells)
            refused.update(differs)
            known = partial(
                label, model=model, **asdict(row), differs="; ".join(differs),
                flags=flags(sides, row.source, ours.cells, theirs.cells),
            )  # fmt: skip
            means.add(known(dataset=MEAN), ours.outcomes, theirs.outcomes)
            both = zip(suite.datasets, ours.outcomes, theirs.outcomes, strict=True)
            for dataset, one, another in both:
                alone = known(dataset=dataset.name, metric=row.metric_on(dataset))
                parts.add(alone, [one], [another])
    if refused and not force:
        raise _refusal(refused)
    return Found(means.deltas(), parts.deltas())


class _Family:
    """Numbers that are tested together; those that lack a side keep their place without a test."""

    def __init__(self) -> None:
        """Begin with none."""
        self._labels: list[Label] = []
        self._pairs: dict[int, Pair] = {}

    def add(
        self, label: Label, first: Sequence[Outcome | None], second: Sequence[Outcome | None]
    ) -> None:
        """Add a number of either side, by dataset."""
        ours, theirs = ([o for o in side if o is not None] for side in (first, second))
        if len(ours) == len(theirs) == len(first):
            self._pairs[len(self._labels)] = Pair(label, tuple(ours), tuple(theirs))
        self._labels.append(label)

    def deltas(self) -> list[Delta]:
        """Return all differences in the order in which they were added."""
        found = dict(zip(self._pairs, deltas([*self._pairs.values()]), strict=True))
        return [found.get(place, Delta(label)) for place, label in enumerate(self._labels)]


def _refusal(reasons: Counter[str]) -> UserError:
    """Say which fields of protocols differ, of this suite first."""
    lines = [
        f"  {reason}" + f" ({count} numbers)" * (count > 1) for reason, count in reasons.items()
    ]
    return UserError(
        "\n".join(
            [
                "protocols differ, so these numbers cannot be compared; here, then there:",
                *lines,
                "`--force` compares them all the same, and marks them",
            ]
        )
    )

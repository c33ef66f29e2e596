"""Verdicts on published numbers: whether each agrees with the measured number."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from bench.compare.protocol_mismatch import is_attack_of, reasons
from bench.compare.published_number import UNNAMED, Published
from bench.core.types import CLEAN
from bench.plan.cells import Cell
from bench.results.protocol_summary import weights
from bench.results.tables import Scored
from bench.stats import Interval, mean_of, unpaired_interval, wilson
from bench.suite.load import Suite
from bench.suite.metrics import metric_of
from bench.suite.specs import eps_value

Verdict = Literal["agrees", "differs", "cannot be compared"]
_Items = dict[str, list[Scored]]  # by dataset, one cell per seed of the attack


@dataclass(frozen=True, slots=True)
class Comparison:
    """A published number and the corresponding measured number.

    Attributes:
        published: The published number and its protocol.
        attack: The suite's label of the attack.
        threat: The measured threat model, e.g. `transfer from CLIP`; empty for clean images.
        measured: The measured number with its interval; None if a cell has no number.
        n: Number of images measured over all datasets.
        verdict: Whether the two numbers agree.
        why: Reasons why they cannot be compared; empty otherwise.
    """

    published: Published
    attack: str
    threat: str
    measured: Interval | None
    n: int
    verdict: Verdict
    why: str = ""


def compare(
    suite: Suite, scored: Sequence[Scored], published: Sequence[Published]
) -> tuple[list[Comparison], int]:
    """Compare published numbers with a suite's numbers.

    Returns:
        The comparisons, and the number of published numbers whose model, dataset, attack or budget
        the suite lacks.
    """
    found: list[Comparison] = []
    absent = 0
    for row in published:
        some = [item for own in _in_suite(suite, row) for item in _of_row(suite, scored, own)]
        found += some
        absent += not some
    return found, absent


def _in_suite(suite: Suite, row: Published) -> Iterator[Published]:
    """Yield a published number under the suite's names of its model.

    A number without a model's name belongs to all models of the suite that have its weights.
    """
    if row.model:
        yield row
        return
    same = (name for name in suite.models if weights(suite, name) == row.weights)
    yield from (replace(row, model=name) for name in same)


def _of_row(suite: Suite, scored: Sequence[Scored], row: Published) -> Iterator[Comparison]:
    groups: dict[tuple[str, str], _Items] = {}
    for item in scored:
        if _is_of(item.cell, row):
            key = (_attack(item.cell), _threat(item.cell))
            groups.setdefault(key, {}).setdefault(item.cell.dataset, []).append(item)
    groups = {key: items for key, items in groups.items() if _has_any(row, items)}
    # if the suite has the exact attack or threat of the number, only that is compared
    for fits in (_is_equal_attack, _is_equal_threat):
        fitting = {key: items for key, items in groups.items() if fits(row, key, items)}
        groups = fitting or groups
    for (attack, threat), items in groups.items():
        yield _compared(suite, row, attack, threat, items)
    if not groups and row.incomparable and row.model in suite.models:
        yield Comparison(row, row.attack, "", None, 0, "cannot be compared", row.incomparable)


def _is_equal_attack(row: Published, _: tuple[str, str], items: _Items) -> bool:
    return is_attack_of(row, _any_cell(items))


def _is_equal_threat(row: Published, key: tuple[str, str], _: _Items) -> bool:
    return key[1] == row.threat_model


def _compared(suite: Suite, row: Published, attack: str, threat: str, items: _Items) -> Comparison:
    names = row.datasets or tuple(items)
    measured, n, reason = _measured(names, items)
    cell = _any_cell(items)
    differing = [*([reason] if reason else []), *reasons(suite, row, names, cell, threat)]
    if differing or measured is None:
        why = "; ".join(differing)
        return Comparison(row, attack, threat, measured, n, "cannot be compared", why)
    low, high = unpaired_interval(measured, printed(row))
    same = low - row.rounding <= 0 <= high + row.rounding
    return Comparison(row, attack, threat, measured, n, "agrees" if same else "differs")


def printed(row: Published) -> Interval:
    """Return a published number with the interval of its sample, on the scale of its metric.

    A number on all images, or on an unstated number of images, has no interval of its own. The mean
    over k datasets of n images varies at most as much as one rate over k n images, and a mean of
    graded scores at most as much as a mean of right-or-wrong answers.
    """
    if not row.samples.isdigit():
        return Interval(row.value, row.value, row.value)
    n, best = int(row.samples) * len(row.datasets), metric_of(row.metric).highest
    share = row.value / best
    return Interval(share, *wilson(round(share * n), n)).scaled(best)


def _measured(names: Sequence[str], items: _Items) -> tuple[Interval | None, int, str]:
    correct, sizes, images = list[float](), list[float](), 0
    for name in names:
        if name not in items:
            return None, 0, f"datasets: the suite lacks {name}"
        rates = []
        for item in items[name]:
            shares = item.shares
            if shares is None:
                details = item.details()
                reason = details.reason if details else "not run yet"
                return None, 0, f"{name}: {reason}"
            rates.append(float(shares.mean()))
        images += items[name][0].images
        sizes.append(min(item.effective_size for item in items[name]))
        correct.append(sum(rates) / len(rates) * sizes[-1])
    anytime = any(item.anytime for name in names for item in items[name])
    found = mean_of(correct, sizes, anytime=anytime)
    return found.scaled(metric_of(_any_cell(items).metric).highest), images, ""


def _any_cell(items: _Items) -> Cell:
    return next(iter(items.values()))[0].cell


def _is_of(cell: Cell, row: Published) -> bool:
    if (cell.target, cell.metric) != (row.model, row.metric):
        return False
    if cell.attack is None or not row.eps:
        return cell.attack is None and row.attack == CLEAN
    named = row.attack in (UNNAMED, _attack(cell))
    same = bool(row.preset_attack) and is_attack_of(row, cell)
    return (named or same) and eps_value(cell.eps) == eps_value(row.eps)


def _has_any(row: Published, items: _Items) -> bool:
    return not row.datasets or any(name in items for name in row.datasets)


def _attack(cell: Cell) -> str:
    return cell.attack.label_in_norm if cell.attack else CLEAN


def _threat(cell: Cell) -> str:
    if cell.threat is None:
        return ""
    return f"transfer from {cell.source}" if cell.threat.source else cell.threat.kind

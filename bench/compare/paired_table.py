"""What `compare` prints and writes."""

from collections.abc import Iterator
from functools import partial

import pandas as pd

from bench.compare.differences import Delta
from bench.compare.paired import Found
from bench.results.number_format import Scale, scale_of
from bench.results.spreadsheet import csv_text
from bench.store.results_folder import Store, write_text

COLUMNS = (
    *("model", "baseline", "threat", "source", "attack", "eps", "metric", "dataset"),
    *("n", "value", "baseline_value", "delta", "ci_low", "ci_high", "p", "p_holm", "real"),
    *("differs", "flags"),
)
HEAD = (
    *("threat", "model", "baseline", "dataset", "attack", "eps"),
    *("value", "base", "delta", "95%", "p (Holm)", "real", ""),
)


def write_comparison(store: Store, found: Found) -> None:
    """Write `compare.csv` beside a suite's results: one row per difference, values as in cells.csv.

    `p_holm` is corrected for all tests of means, or of single datasets. It and `real` are empty
    where the images are others, so that there is no test, and where a side has no number.
    """
    rows = map(_record, (*found.whole, *found.parts))
    table = pd.DataFrame(rows, columns=[*COLUMNS])
    write_text(store.folder / "compare.csv", csv_text(table))


def comparison_rows(found: Found) -> Iterator[tuple[str, ...]]:
    """Yield a row per difference but those of parts, by the columns of `HEAD`; rates in points."""
    return (_row(item) for item in _shown(found))


def comparison_lines(found: Found) -> Iterator[str]:
    """Say how many differences of either kind are real, and what has no test or no number."""
    for what, items in (("", found.whole), (" of single datasets", found.parts)):
        tested = [item.real for item in items if item.real is not None]
        if tested:
            yield f"{sum(tested)} of {len(tested)} differences{what} are real"
        if missing := sum(item.value is None for item in items):
            yield f"{missing} of {len(items)} differences{what} lack a number on one side"
    if any(item.real is not None for item in found.whole):
        yield "real is corrected for the number of tests, 95% intervals are not: each is alone"
    if untested := len(_shown(found)) - sum(item.real is not None for item in found.whole):
        yield f"{untested} are of other images on either side: they have an interval and no test"
    if found.refused:
        yield (
            f"{found.refused} published numbers are of other protocols: `check` says in what, "
            "`--force` compares them"
        )


def _shown(found: Found) -> list[Delta]:
    return [item for item in found.whole if item.value is not None]


def _mark(item: Delta) -> str:
    differs = f"protocols differ: {item.label.differs}" if item.label.differs else ""
    return " ".join(filter(None, (item.label.flags, differs)))


def _row(item: Delta) -> tuple[str, ...]:
    label = item.label
    threat = f"{label.threat} from {label.source}" if label.source else label.threat
    said = partial(_said, scale_of(label.first_metric))
    return (
        *(threat or "-", label.model, label.baseline, label.dataset, label.attack),
        *(label.eps or "-", said(item.first), said(item.second), said(item.value, "+")),
        f"{said(item.low, '+')} to {said(item.high, '+')}",
        "-" if item.p_holm is None else f"{item.p_holm:.2g}",
        {None: "-", True: "yes", False: "no"}[item.real],
        _mark(item),
    )


def _said(scale: Scale, value: float | None, sign: str = "") -> str:
    return "-" if value is None else scale.text(value, sign)


def _record(item: Delta) -> dict[str, object]:
    label = item.label
    return {
        "model": label.model,
        "baseline": label.baseline,
        "threat": label.threat,
        "source": label.source,
        "attack": label.attack,
        "eps": label.eps,
        "metric": label.metric,
        "dataset": label.dataset,
        "n": item.n,
        "value": item.first,
        "baseline_value": item.second,
        "delta": item.value,
        "ci_low": item.low,
        "ci_high": item.high,
        "p": item.p,
        "p_holm": item.p_holm,
        "real": item.real,
        "differs": label.differs,
        "flags": label.flags,
    }

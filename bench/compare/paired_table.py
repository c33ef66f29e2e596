"""Table, summary lines and CSV file of `compare`."""

from collections import Counter
from collections.abc import Iterator
from functools import partial

import pandas as pd

from bench.compare.differences import Difference
from bench.compare.paired import ComparisonTables
from bench.results.number_format import Scale, scale_of
from bench.results.spreadsheet import csv_text
from bench.store.results_folder import Store
from bench.store.writing import write_text

COLUMNS = (
    *("model", "baseline", "threat", "source", "attack", "eps", "metric", "dataset"),
    *("n", "value", "baseline_value", "delta", "ci_low", "ci_high", "p", "p_holm", "real"),
    *("differs", "flags"),
)
SUMMARY = ("model", "baseline", "better", "worse", "no real difference", "no test")
HEAD = (
    *("threat", "model", "baseline", "dataset", "attack", "eps"),
    *("value", "base", "delta", "95%", "p (Holm)", "real", ""),
)


def write_comparison(store: Store, found: ComparisonTables) -> None:
    """Write `compare.csv` beside the suite's results: one row per difference.

    Values are on the scale of cells.csv. `p_holm` is corrected for all tests of its family: the
    means, or the single datasets. `p`, `p_holm` and `real` are empty where there is no test: the
    images differ, or a number is missing.
    """
    rows = map(_record, (*found.means, *found.per_dataset))
    table = pd.DataFrame(rows, columns=[*COLUMNS])
    write_text(store.folder / "compare.csv", csv_text(table))


def summary_rows(found: ComparisonTables) -> Iterator[tuple[str, ...]]:
    """Yield a row per model and baseline, in the columns of `SUMMARY`: counts of differences."""
    counts: dict[tuple[str, str], Counter[str]] = {}
    for item in _printed(found):
        counts.setdefault((item.label.model, item.label.baseline), Counter())[_verdict(item)] += 1
    for names, count in counts.items():
        yield *names, *(str(count[verdict]) for verdict in SUMMARY[2:])


def _verdict(item: Difference) -> str:
    if item.real is None or item.value is None:
        return "no test"
    if not item.real:
        return "no real difference"
    return "better" if item.value > 0 else "worse"


def comparison_rows(found: ComparisonTables) -> Iterator[tuple[str, ...]]:
    """Yield a row per difference of means, in the columns of `HEAD`; rates in percent."""
    return (_row(item) for item in _printed(found))


def comparison_lines(found: ComparisonTables) -> Iterator[str]:
    """Yield summary lines: how many differences are real, lack a test or lack a number."""
    for what, items in (("", found.means), (" of single datasets", found.per_dataset)):
        tested = [item.real for item in items if item.real is not None]
        if tested:
            yield f"{sum(tested)} of {len(tested)} differences{what} are real"
        if missing := sum(item.value is None for item in items):
            yield f"{missing} of {len(items)} differences{what} lack a number on one side"
    if any(item.real is not None for item in found.means):
        yield "`real` is corrected for the number of tests; the 95% intervals are not"
    if untested := len(_printed(found)) - sum(item.real is not None for item in found.means):
        yield f"{untested} compare different images: they have an interval but no test"
    if found.excluded:
        yield (
            f"{found.excluded} published numbers have another protocol: `check` lists the "
            "differing fields, `--force` compares them"
        )


def _printed(found: ComparisonTables) -> list[Difference]:
    return [item for item in found.means if item.value is not None]


def _flags_text(item: Difference) -> str:
    differs = f"protocols differ: {item.label.differs}" if item.label.differs else ""
    return " ".join(filter(None, (item.label.flags, differs)))


def _row(item: Difference) -> tuple[str, ...]:
    label = item.label
    threat = f"{label.threat} from {label.source}" if label.source else label.threat
    said = partial(_text, scale_of(label.first_metric))
    return (
        *(threat or "-", label.model, label.baseline, label.dataset, label.attack),
        *(label.eps or "-", said(item.first), said(item.second), said(item.value, "+")),
        f"{said(item.low, '+')} to {said(item.high, '+')}",
        "-" if item.p_holm is None else f"{item.p_holm:.2g}",
        {None: "-", True: "yes", False: "no"}[item.real],
        _flags_text(item),
    )


def _text(scale: Scale, value: float | None, sign: str = "") -> str:
    return "-" if value is None else scale.text(value, sign)


def _record(item: Difference) -> dict[str, object]:
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

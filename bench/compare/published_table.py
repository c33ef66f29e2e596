"""Table, summary lines and CSV file of `check`: published numbers beside measured ones."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence

import pandas as pd

from bench.compare.protocol_mismatch import unstated
from bench.compare.published import given, read_published
from bench.compare.verdicts import Comparison, compare
from bench.core.errors import UserError
from bench.results.number_format import PERCENT, decimal_text
from bench.results.spreadsheet import csv_text
from bench.results.tables import load_scored
from bench.store.snapshot import Results
from bench.store.writing import write_text
from bench.trust.findings import Examined
from bench.trust.reported_number import Pair

HEAD = ("table", "model", "dataset", "attack", "eps", "published", "measured", "95%", "verdict")


def check(
    results: Results,
    file: str | None,
    examined: Mapping[Pair, Examined] | None = None,
    show: Callable[[list[Comparison], int], object] = lambda found, absent: None,
) -> tuple[list[Comparison], int]:
    """Compare a suite's results with published numbers and write `check.csv` beside them.

    Args:
        results: Stored results of the suite.
        file: File of published numbers; if None, the file that the suite names.
        examined: Findings of the trust battery; read from the store if None.
        show: Called with what is returned before `check.csv` is written, so that it is shown also
            if the folder may only be read.

    Returns:
        The comparisons, and the number of published numbers whose model, dataset, attack or budget
        the suite lacks.

    Raises:
        UserError: No published numbers are given, or the file is invalid.
    """
    suite = results.suite
    against = suite.against if file is None else given(file)
    if against is None:
        raise UserError(
            f"suite {suite.suite}: names no published numbers; give `--against FILE`, one of "
            "results/published, or add `against: {file: ..., table: ...}` to the suite"
        )
    found, absent = compare(suite, load_scored(results, examined), read_published(against))
    show(found, absent)
    write_text(results.store.folder / "check.csv", csv_text(pd.DataFrame(map(_record, found))))
    return found, absent


def check_rows(found: Sequence[Comparison]) -> Iterator[tuple[str, ...]]:
    """Yield a row per published number, in the columns of `HEAD`."""
    return map(_row, found)


def check_lines(found: Sequence[Comparison], absent: int) -> Iterator[str]:
    """Yield summary lines: how many numbers agree, differ or cannot be compared."""
    counts = Counter(item.verdict for item in found)
    yield ", ".join(
        f"{counts[verdict]} {verdict}" for verdict in ("agrees", "differs", "cannot be compared")
    )
    compared = counts["agrees"] + counts["differs"]
    if compared:
        yield f"if all {compared} were equal, {compared / 20:.1f} would differ by chance on average"
    if absent:
        yield f"{absent} published numbers have a model, dataset or attack the suite lacks"


def _row(item: Comparison) -> tuple[str, ...]:
    row, measured = item.published, item.measured
    return (
        row.table,
        row.model,
        row.dataset,
        item.attack,
        row.eps or "-",
        row.value_percent,
        PERCENT.text(measured.value) if measured else "-",
        f"{PERCENT.text(measured.low)}-{PERCENT.text(measured.high)}" if measured else "-",
        f"{item.verdict}{f': {item.why}' if item.why else ''}{_remarks(item)}",
    )


def _percent(share: float) -> float:
    return float(decimal_text(share, 2, PERCENT.factor))


def _remarks(item: Comparison) -> str:
    row = item.published
    basis = f"threat {row.threat_basis}" if row.threat_basis else ""
    unknown = unstated(row) if item.verdict != "cannot be compared" else ()
    not_stated = f"not stated: {', '.join(unknown)}" if unknown else ""
    remarks = "; ".join(filter(None, (basis, not_stated, row.note)))
    return f" ({remarks})" if remarks else ""


def _record(item: Comparison) -> dict[str, object]:
    row, measured = item.published, item.measured
    return {
        "paper": row.paper,
        "table": row.table,
        "model": row.model,
        "dataset": row.dataset,
        "attack": item.attack,
        "eps": row.eps,
        "metric": row.metric,
        "threat": item.threat,
        "published": row.value_percent,
        "published_threat": row.threat_model,
        "published_threat_basis": row.threat_basis,
        "published_samples": row.samples,
        "measured": _percent(measured.value) if measured else None,
        "ci_low": _percent(measured.low) if measured else None,
        "ci_high": _percent(measured.high) if measured else None,
        "n": item.n,
        "verdict": item.verdict,
        "why": item.why,
        "not_stated": " ".join(unstated(row)),
        "note": row.note,
        "source": row.source,
    }

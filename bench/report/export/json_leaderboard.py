"""The leaderboard as JSON, for programs and for the scripts of the page."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from json.encoder import encode_basestring_ascii as _quoted
from typing import Any

from bench.report.export.leaderboard_values import Boards, Row, columns
from bench.results.board_cells import Key
from bench.results.number_format import rounded, scale_of_suite
from bench.stats import Interval
from bench.suite.load import Suite

ThreatKey = tuple[str, str]  # kind and source


def json_text(suite: Suite, boards: Boards) -> str:
    """Return the leaderboards over all datasets and per dataset as JSON, one row per line.

    A value has a 95% interval, `{"value": 0.5, "low": 0.4, "high": 0.6}`, or is null. Values are
    fractions; CIDEr-D is from 0 to 10. `models` has the order of the suite, `scale` the number
    format for readers, `columns` what each key of `rates` means.
    """
    names = [dataset.name for dataset in suite.datasets]
    by_dataset = ",\n".join(f"  {_json(name)}: {_lines(boards[name])}" for name in names)
    entries = {
        "suite": _json(suite.suite),
        "datasets": _json(names),
        "models": _json(list(suite.models)),
        "scale": _json(asdict(scale_of_suite(suite))),
        "columns": _json([asdict(column) for column in columns(suite)]),
        "rows": _lines(boards[""]),
        "by_dataset": f"{{\n{by_dataset}\n }}",
    }
    text = ",\n".join(f" {_json(key)}: {entry}" for key, entry in entries.items())
    return f"{{\n{text}\n}}\n"


def threats_of(boards: Boards) -> list[ThreatKey]:
    """Return kind and source of the threats of the leaderboard, in its order."""
    return list(dict.fromkeys((row.threat, row.source) for row in boards[""]))


def board_numbers(suite: Suite, rows: Sequence[Row]) -> dict[Key, dict[str, Any]]:
    """Return the numbers of each row for the scripts of the page.

    Spreads are left out with a single attack seed, since there are none.
    """
    names = [column.key for column in columns(suite)]
    spread = len(suite.attack_seeds) > 1
    return {
        row.key: {
            "rank": row.rank,
            "n": row.n,
            "flags": row.flags,
            "rates": [_bounds(row.rates[name]) for name in names],
            **({"spreads": [_rounded(row.spreads.get(name)) for name in names]} if spread else {}),
        }
        for row in rows
    }


def _lines(rows: Sequence[Row]) -> str:
    lines = ",\n".join(f"   {_record(row)}" for row in rows)
    return f"[\n{lines}\n  ]"


def _json(value: object) -> str:
    return json.dumps(value, allow_nan=False)  # with `indent`, Python would use its slow encoder


def _record(row: Row) -> str:
    rates = ", ".join([f"{_quoted(key)}: {_rate(rate)}" for key, rate in row.rates.items()])
    entries = {
        "rank": _json(row.rank),
        "model": _json(row.model),
        "threat": _json(row.threat),
        "source": _json(row.source),
        "rates": f"{{{rates}}}",
        "n": _json(row.n),
        "flags": _json(row.flags),
    }
    return f"{{{', '.join(f'{_quoted(key)}: {text}' for key, text in entries.items())}}}"


def _rate(rate: Interval | None) -> str:
    """Return a rate as JSON; there may be a million, and Python's encoder is slower."""
    bounds = _bounds(rate)
    return "null" if bounds is None else '{"value": %r, "low": %r, "high": %r}' % bounds  # noqa: UP031


def _bounds(rate: Interval | None) -> tuple[float, float, float] | None:
    if rate is None:
        return None
    return rounded(rate.value), rounded(rate.low), rounded(rate.high)


def _rounded(value: float | None) -> float | None:
    return None if value is None else rounded(value)

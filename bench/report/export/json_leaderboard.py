"""The leaderboard as JSON, for programs."""

import json
from typing import Any

from bench.report.export.leaderboard_values import Boards, Row
from bench.report.export.numbers import rounded
from bench.stats import Interval
from bench.suite.load import Suite


def json_text(suite: Suite, boards: Boards) -> str:
    """Return the leaderboards over all datasets and per dataset as JSON.

    A value has a 95% interval, `{"value": 0.5, "low": 0.4, "high": 0.6}`, or is null. Values are
    fractions; CIDEr-D is from 0 to 10.
    """
    content = {
        "suite": suite.suite,
        "datasets": [dataset.name for dataset in suite.datasets],
        "rows": [_record(row) for row in boards[""]],
        "by_dataset": {
            name: [_record(row) for row in rows] for name, rows in boards.items() if name
        },
    }
    return json.dumps(content, indent=1, allow_nan=False) + "\n"


def _record(row: Row) -> dict[str, Any]:
    return {
        "rank": row.rank,
        "model": row.model,
        "threat": row.threat,
        "source": row.source,
        "rates": {key: _rate(rate) for key, rate in row.rates.items()},
        "n": row.n,
        "flags": list(row.flags),
    }


def _rate(rate: Interval | None) -> dict[str, float] | None:
    if rate is None:
        return None
    bounds = {"value": rate.value, "low": rate.low, "high": rate.high}
    return {name: rounded(value) for name, value in bounds.items()}

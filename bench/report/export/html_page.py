"""The HTML page of the leaderboard, which needs no network: one file unless the suite is large."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from bench.core.program import PROJECT, project_version
from bench.report.export.assets import script_json, scripts, styles, template
from bench.report.export.json_leaderboard import ThreatKey, board_numbers, threats_of
from bench.report.export.leaderboard_values import Boards, Column, Row, columns, threat_name
from bench.report.export.links import model_links, pages_of_images
from bench.report.export.page_parts import ListedCells
from bench.report.export.protocol_details import (
    ProtocolFacts,
    details,
    evidence,
    remarks,
    versions,
)
from bench.results.attack_summary import in_words
from bench.results.board_cells import Key
from bench.results.number_format import (
    rounded,
    sample_noun,
    scale_of_suite,
    shown,
    surviving_samples,
)
from bench.store.cell_log import last_stored
from bench.suite.load import Suite
from bench.suite.metrics import metrics_of
from bench.suite.specs import eps_value
from bench.trust.explanations import EXPLANATIONS
from bench.trust.findings import Examined
from bench.trust.reported_number import Pair

# of the leaderboard; the scripts of the page draw more on request
_LINES_AT_ONCE, _FEWEST_LINES = 200, 10
_CELLS_AT_ONCE = 8000
_STYLES = ("base", "filters", "table", "figures", "details")
_SCRIPTS = (
    *("dom", "rounding", "data", "flags", "flag_tips", "marks", "axes", "tips", "parts"),
    *("board", "tradeoff", "curves", "heat", "cells", "details", "theme", "main"),
)


def render(
    suite: Suite,
    boards: Boards,
    cells: ListedCells,
    facts: ProtocolFacts,
    answers: Mapping[Key, Sequence[Mapping[str, object]]],
    examined: Mapping[Pair, Examined],
    folder: Path,
    planned: int,
) -> str:
    """Return the page: leaderboard, figures, all cells, and the protocol.

    The page of a large suite has the leaderboard over all datasets, and loads the rest from parts
    (`bench.report.export.page_parts`).

    Args:
        suite: The suite.
        boards: Leaderboards over all datasets and per dataset.
        cells: The cells, from `PageCells`.
        facts: What the cells say of the protocol.
        answers: Example answers by row; empty if the models do not answer in words.
        examined: Findings of the trust battery, by model and dataset.
        folder: Results folder, whose other pages are linked.
        planned: Number of cells of the suite, with and without a result.
    """
    scale = scale_of_suite(suite)
    rows = boards[""]
    threats = threats_of(boards)
    at_once = _lines_at_once(len(columns(suite)))
    return template("page.html.j2").render(
        suite=suite,
        style=styles(_STYLES),
        script=scripts(_SCRIPTS),
        data=script_json(
            {
                **_data(suite, boards, threats, cells, facts),
                **_evidence(rows, cells, answers, examined),
                "lines_at_once": at_once,
                "images": pages_of_images(folder),
            }
        ),
        has_parts=cells.inline is None,
        scale=scale,
        shown=partial(shown, scale=scale),
        graded=any(metric.graded for of in suite.datasets for metric in metrics_of(of)),
        sample=sample_noun(suite),
        surviving=surviving_samples(suite),
        has_answers=bool(answers),
        columns=columns(suite),
        spans=_spans(columns(suite)),
        ranked=[
            (i, name) for i, name in enumerate(suite.models) if name in {r.model for r in rows}
        ],
        groups=[
            (threat_name(*threat), threat[0], [row for row in rows if _threat(row) == threat])
            for threat in threats
        ],
        cells=cells.count,
        planned=planned,
        at_once=at_once,
        failures=cells.failures,
        failed=cells.failed,
        attacks=[(each.label_in_norm, in_words(each), each.eps) for each in suite.attacks],
        versions=versions(facts),
        written_by=f"{PROJECT} {project_version()}".strip(),
        stored=_last_stored(folder),
        has_data_page=(folder / "data.html").is_file(),
    )


def _last_stored(folder: Path) -> str:
    """Return the date of the newest result: equal results give an equal page on any day."""
    newest = datetime.fromtimestamp(last_stored(folder / "cells"), UTC)
    return f"{newest.day} {newest:%B %Y}"


def _spans(shown: Sequence[Column]) -> list[tuple[str, list[tuple[int, Column]]]]:
    """Group the columns between `clean` and `worst`, with their indices, by attack and metric."""
    spans: dict[str, list[tuple[int, Column]]] = {}
    for index, column in enumerate(shown[1:-1], 1):
        spans.setdefault(column.heading, []).append((index, column))
    return list(spans.items())


def _threat(row: Row) -> ThreatKey:
    return row.threat, row.source


def _data(
    suite: Suite,
    boards: Boards,
    threats: Sequence[ThreatKey],
    cells: ListedCells,
    facts: ProtocolFacts,
) -> dict[str, Any]:
    """Return the data of the scripts; rows refer to models and threats by index."""
    shown = columns(suite)
    scale = scale_of_suite(suite)
    rows = boards[""]
    models = {name: index for index, name in enumerate(suite.models)}
    indices = {key: index for index, key in enumerate(threats)}
    inline = boards if cells.inline is not None else {"": rows}
    numbers = {dataset: board_numbers(suite, board) for dataset, board in inline.items()}
    return {
        "suite": suite.suite,
        "meanings": {
            **{check: " ".join(meaning) for check, meaning in EXPLANATIONS.items()},
            **remarks(facts.entries),
        },
        "models": list(suite.models),
        "datasets": [dataset.name for dataset in suite.datasets],
        "threats": [
            {"name": threat_name(*threat), "kind": threat[0], "source": threat[1]}
            for threat in threats
        ],
        "scale": {**asdict(scale), "axis": scale.axis},
        "highest": 1 if scale.unit else _highest(boards),
        "columns": [_column(column) for column in shown],
        "rows": [{"model": models[row.model], "threat": indices[_threat(row)]} for row in rows],
        "boards": {
            dataset: [by_key[row.key] for row in rows] for dataset, by_key in numbers.items()
        },
        "cells": cells.inline,
        "details": details(suite, facts),
        "links": model_links(suite),
    }


def _evidence(
    rows: Sequence[Row],
    cells: ListedCells,
    answers: Mapping[Key, Sequence[Mapping[str, object]]],
    examined: Mapping[Pair, Examined],
) -> dict[str, Any]:
    """Return the data of the dialogs, or what the scripts need to load it."""
    if cells.inline is None:
        return {"parts": {"stamp": cells.stamp, "cells": cells.models}}
    return {
        "answers": [answers.get(row.key, ()) for row in rows] if answers else [],
        "examined": evidence(examined),
    }


def _highest(boards: Boards) -> float:
    """Return the best number of the page."""
    rates = (rate for rows in boards.values() for row in rows for rate in row.rates.values())
    return max((rounded(rate.value) for rate in rates if rate), default=0.0)


def _lines_at_once(shown: int) -> int:
    """Return how many lines of the leaderboard are drawn at once, for a number of columns."""
    return min(_LINES_AT_ONCE, max(_FEWEST_LINES, _CELLS_AT_ONCE // shown))


def _column(column: Column) -> dict[str, Any]:
    return {
        "key": column.key,
        "attack": column.attack,
        "eps": column.eps,
        "radius": eps_value(column.eps) if column.eps else 0,
        "norm": column.norm,
        "metric": column.metric,
    }

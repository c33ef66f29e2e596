"""The HTML page of the leaderboard: one file that needs no network."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from bench.core.program import PROJECT, project_version
from bench.report.export.assets import script_json, scripts, styles, template
from bench.report.export.leaderboard_values import Boards, Column, Row, columns, threat_name
from bench.report.export.links import model_links, pages_of_images
from bench.report.export.numbers import rounded, shown
from bench.report.export.protocol_details import (
    ProtocolFacts,
    details,
    evidence,
    remarks,
    versions,
)
from bench.results.attack_summary import in_words
from bench.results.board_cells import Key
from bench.results.number_format import sample_noun, scale_of_suite, surviving_samples
from bench.stats import Interval
from bench.store.cell_log import last_stored
from bench.suite.load import Suite
from bench.suite.metrics import metrics_of
from bench.suite.specs import eps_value
from bench.trust.explanations import EXPLANATIONS
from bench.trust.findings import Examined
from bench.trust.reported_number import Pair

_LINES_AT_ONCE = 200  # of the leaderboard; the scripts of the page draw more on request
_STYLES = ("base", "filters", "table", "figures", "details")
_SCRIPTS = (
    *("dom", "rounding", "data", "flags", "flag_tips", "marks", "axes", "tips"),
    *("board", "tradeoff", "curves", "heat", "cells", "details", "theme", "main"),
)


def render(
    suite: Suite,
    boards: Boards,
    cells: pd.DataFrame,
    facts: ProtocolFacts,
    answers: Mapping[Key, Sequence[Mapping[str, object]]],
    examined: Mapping[Pair, Examined],
    folder: Path,
    planned: int,
) -> str:
    """Return the page: leaderboard, figures, all cells, and the protocol.

    Args:
        suite: The suite.
        boards: Leaderboards over all datasets and per dataset.
        cells: Table of the cells.
        facts: What the cells say of the protocol.
        answers: Example answers by row; empty if the models do not answer in words.
        examined: Findings of the trust battery, by model and dataset.
        folder: Results folder, whose other pages are linked.
        planned: Number of cells of the suite, with and without a result.
    """
    scale = scale_of_suite(suite)
    rows = boards[""]
    threats = list(dict.fromkeys((row.threat, row.source) for row in rows))
    failures = cells[cells["status"] != "ok"]
    return template("page.html.j2").render(
        suite=suite,
        style=styles(_STYLES),
        script=scripts(_SCRIPTS),
        data=script_json(
            _data(
                suite,
                boards,
                threats,
                cells,
                facts,
                answers,
                examined,
                pages_of_images(folder),
            )
        ),
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
        cells=len(cells),
        planned=planned,
        at_once=_LINES_AT_ONCE,
        failures=failures.to_dict("records"),
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


def _threat(row: Row) -> tuple[str, str]:
    return row.threat, row.source


def _data(
    suite: Suite,
    boards: Boards,
    threats: Sequence[tuple[str, str]],
    cells: pd.DataFrame,
    facts: ProtocolFacts,
    answers: Mapping[Key, Sequence[Mapping[str, object]]],
    examined: Mapping[Pair, Examined],
    images: Sequence[str],
) -> dict[str, Any]:
    """Return the data of the scripts; rows refer to models and threats by index."""
    shown = columns(suite)
    scale = scale_of_suite(suite)
    rows = boards[""]
    models = {name: index for index, name in enumerate(suite.models)}
    indices = {key: index for index, key in enumerate(threats)}
    numbers = {
        dataset: {row.key: _numbers(row, shown) for row in board}
        for dataset, board in boards.items()
    }
    return {
        "suite": suite.suite,
        "lines_at_once": _LINES_AT_ONCE,
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
        "columns": [_column(column) for column in shown],
        "rows": [{"model": models[row.model], "threat": indices[_threat(row)]} for row in rows],
        "boards": {
            dataset: [by_key[row.key] for row in rows] for dataset, by_key in numbers.items()
        },
        "cells": list(_cells(suite, threats, cells)),
        "details": details(suite, facts),
        "answers": [answers.get(row.key, ()) for row in rows] if answers else [],
        "examined": evidence(examined),
        "links": model_links(suite),
        "images": images,
    }


def _column(column: Column) -> dict[str, Any]:
    return {
        "key": column.key,
        "attack": column.attack,
        "eps": column.eps,
        "radius": eps_value(column.eps) if column.eps else 0,
        "norm": column.norm,
        "metric": column.metric,
    }


def _numbers(row: Row, shown: Sequence[Column]) -> dict[str, Any]:
    return {
        "rank": row.rank,
        "n": row.n,
        "flags": row.flags,
        "rates": [_rate(row.rates[column.key]) for column in shown],
        "spreads": [_rounded(row.spreads.get(column.key)) for column in shown],
    }


def _rate(rate: Interval | None) -> list[float] | None:
    if rate is None:
        return None
    return [rounded(value) for value in (rate.value, rate.low, rate.high)]


def _rounded(value: float | None) -> float | None:
    return None if value is None else rounded(value)


def _cells(
    suite: Suite, threats: Sequence[tuple[str, str]], cells: pd.DataFrame
) -> Iterator[list[Any]]:
    """Yield the rows of `cells.js`; models, datasets and threats are indices."""
    models = {name: index for index, name in enumerate(suite.models)}
    datasets = {dataset.name: index for index, dataset in enumerate(suite.datasets)}
    indices: Mapping[tuple[str, str], int] = {key: index for index, key in enumerate(threats)}
    for cell in cells.to_dict("records"):
        norm = "-l2" if cell["norm"] == "L2" else ""
        rate = [cell["value"], cell["ci_low"], cell["ci_high"]]
        yield [
            models[cell["model"]],
            datasets[cell["dataset"]],
            indices[cell["threat"], cell["source"]] if cell["threat"] else -1,
            f"{cell['attack']}{norm}",
            cell["eps"],
            cell["metric"],
            None if pd.isna(rate[0]) else [rounded(value) for value in rate],
            cell["n"],
            None if pd.isna(cell["seed"]) else int(cell["seed"]),
            cell["status"],
            cell["flags"],
            cell["cell_id"],
        ]

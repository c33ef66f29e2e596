"""Write the tables of a suite: cells, leaderboard, a page for reading, what stands behind them."""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from jinja2 import Environment, FileSystemLoader

from bench.leaderboard import leaderboard
from bench.manifest import manifest, manifest_text
from bench.plan import still_valid
from bench.store import Store, write_text
from bench.suite import Suite
from bench.tables import Scored, cells_frame, load_scored

_HERE = Path(__file__).parent
# what a cell's record knows of its model and its batches, which the manifest has
OF_ONE_CELL = ("batch", "backwards", *("activation", "model_pixels", "mean", "std", "logit_scale"))


def export(suite: Suite, store: Store) -> pd.DataFrame:
    """Write all tables from what is stored, and return the leaderboard."""
    scored = load_scored(suite, store)
    entries = manifest(suite, still_valid(suite, store.lock()), scored)
    cells, board = cells_frame(suite, scored), leaderboard(suite, scored)
    texts = {
        "cells.csv": cells.to_csv(index=False, float_format="%.6g"),
        "leaderboard.csv": board.to_csv(index=False, float_format="%.6g"),
        "leaderboard.html": render(suite, scored, cells, board),
        "manifest.json": manifest_text(entries),
    }
    for name, text in texts.items():
        write_text(store.folder / name, text)
    return board


def render(suite: Suite, scored: Sequence[Scored], cells: pd.DataFrame, board: pd.DataFrame) -> str:
    """Return the page: the leaderboard, each dataset's numbers, and the protocol."""
    environment = Environment(loader=FileSystemLoader(_HERE), autoescape=True)
    environment.filters["percent"] = percent
    failures = cells[cells["status"] != "ok"]
    return environment.get_template("leaderboard.html.j2").render(
        suite=suite,
        attacks=[attack.model_dump(exclude_none=True) for attack in suite.attacks],
        columns=[name for name in board.columns if "@" in name],
        groups=[
            rows.astype(object).where(rows.notna(), None).to_dict("records")
            for _, rows in board.groupby(["threat", "source"], sort=False)
        ],
        cells=cells.astype(object).where(cells.notna(), None).to_dict("records"),
        failures=failures.to_dict("records"),
        versions=_versions(scored),
    )


def percent(value: float | None) -> str:
    """Return a fraction as a percentage with one decimal; a dash where there is none."""
    return "–" if value is None or pd.isna(value) else f"{100 * value:.1f}"


def _versions(scored: Sequence[Scored]) -> str:
    found: dict[str, set[str]] = defaultdict(set)
    for item in scored:
        for key, value in (item.result.provenance if item.result else {}).items():
            if key not in OF_ONE_CELL:
                found[key].add(value)
    return ", ".join(f"{key} {' or '.join(sorted(values))}" for key, values in found.items())

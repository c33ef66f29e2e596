"""All tables of a suite from what is stored."""

import pandas as pd

from bench.export.boards import boards
from bench.export.page import render
from bench.manifest import manifest, manifest_text
from bench.plan import still_valid
from bench.store import Store, write_text
from bench.suite import Suite
from bench.tables import cells_frame, leaderboard, load_scored


def export(suite: Suite, store: Store) -> pd.DataFrame:
    """Write all tables from what is stored, and return the leaderboard."""
    scored = load_scored(suite, store)
    entries = manifest(suite, still_valid(suite, store.lock()), scored)
    cells, board = cells_frame(suite, scored), leaderboard(suite, scored)
    rates = boards(suite, scored, board, cells)
    texts = {
        "cells.csv": cells.to_csv(index=False, float_format="%.6g"),
        "leaderboard.csv": board.to_csv(index=False, float_format="%.6g"),
        "leaderboard.html": render(suite, rates, cells, entries),
        "manifest.json": manifest_text(entries),
    }
    for name, text in texts.items():
        write_text(store.folder / name, text)
    return board

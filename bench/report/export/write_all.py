"""Writes all tables of a suite from its stored results."""

from collections.abc import Callable

import pandas as pd

from bench.core.errors import UserError
from bench.report.export.answers_csv import answers_frame, examples
from bench.report.export.html_page import render
from bench.report.export.json_leaderboard import json_text, threats_of
from bench.report.export.leaderboard_values import boards, columns, with_intervals
from bench.report.export.optional_dependencies import check_extras
from bench.report.export.page_parts import PARTS, PageCells, write_parts
from bench.report.export.parquet import write_parquet
from bench.report.export.text_tables import latex_table, markdown_table
from bench.results.leaderboard import leaderboard
from bench.results.manifest import manifest, manifest_text
from bench.results.spreadsheet import csv_text
from bench.results.tables import cells_frame, load_scored
from bench.results.yes_no_table import yes_no_frame
from bench.store.snapshot import Results
from bench.store.writing import write_text
from bench.trust.stored_findings import examined_pairs


def export(
    results: Results,
    *,
    parquet: bool = False,
    figures: bool = False,
    show: Callable[[pd.DataFrame], object] = lambda board: None,
) -> pd.DataFrame:
    """Write all tables of a suite, and return the leaderboard.

    Args:
        results: Stored results of the suite.
        parquet: Whether to write `cells.parquet`. Needs the extra `tables`.
        figures: Whether to write `figures/`. Needs the extra `plot`.
        show: Called with the leaderboard before anything is written, so that it is shown also if
            the folder may only be read.

    Raises:
        UserError: Nothing is stored, a needed extra is not installed, or a file cannot be written.
    """
    check_extras({"parquet": parquet, "figures": figures})
    suite, folder = results.suite, results.store.folder
    if not results.by_id:
        raise UserError(f"suite {suite.suite}: nothing is stored; run it first")
    examined = examined_pairs(results)
    scored = load_scored(results, examined)
    entries = manifest(suite, results.lock, scored)
    cells, board = cells_frame(suite, scored), leaderboard(suite, scored)
    rates = boards(suite, scored, board)
    answers = examples(suite, scored)
    planned = len(results.cells)
    show(board)
    listed = PageCells(suite, threats_of(rates), planned, folder / PARTS)
    for row in cells.astype(object).where(cells.notna(), None).to_dict("records"):
        listed.add({str(name): value for name, value in row.items()})
    found = listed.finish()
    write_parts(suite, rates, found, answers, examined, folder / PARTS)
    page = render(suite, rates, found, entries, answers, examined, folder, planned)
    texts = {
        "cells.csv": csv_text(cells),
        "leaderboard.csv": csv_text(with_intervals(board, rates[""])),
        "leaderboard.html": page,
        "leaderboard.json": json_text(suite, rates),
        "leaderboard.md": markdown_table(suite, columns(suite), rates[""]),
        "leaderboard.tex": latex_table(suite, columns(suite), rates[""]),
        "manifest.json": manifest_text(entries),
        "suite.json": suite.as_json(),
    }
    for name, text in texts.items():
        write_text(folder / name, text)
    for name, table in (
        ("answers.csv", answers_frame(suite, scored)),
        ("yes_no.csv", yes_no_frame(suite, scored)),
    ):
        if not table.empty:
            write_text(folder / name, csv_text(table))
    if parquet:
        write_parquet(cells, folder / "cells.parquet")
    if figures:
        from bench.report.figures import draw  # here, since it imports matplotlib

        draw(suite, rates, folder / "figures")
    return board

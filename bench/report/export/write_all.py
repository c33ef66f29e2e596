"""Writes all tables of a suite from its stored results."""

from collections.abc import Callable

import pandas as pd

from bench.core.errors import UserError
from bench.core.types import Details
from bench.report.export.answers_csv import answers_frame, examples
from bench.report.export.cell_files import Row, write_cells
from bench.report.export.html_page import render
from bench.report.export.json_leaderboard import json_text, threats_of
from bench.report.export.leaderboard_values import boards, columns, with_intervals
from bench.report.export.optional_dependencies import check_extras
from bench.report.export.page_parts import PARTS, PageCells, write_parts
from bench.report.export.parquet import write_parquet
from bench.report.export.protocol_details import ProtocolFacts
from bench.report.export.text_tables import latex_table, markdown_table
from bench.results.board_cells import board_cells
from bench.results.leaderboard import leaderboard
from bench.results.spreadsheet import csv_text
from bench.results.tables import Scored, cells_frame, load_scored
from bench.results.yes_no_table import yes_no_frame
from bench.store.snapshot import Results, collector_paused
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
    if not results.by_id:
        raise UserError(f"suite {results.suite.suite}: nothing is stored; run it first")
    with collector_paused():
        return _write_all(results, parquet, figures, show)


def _write_all(
    results: Results, parquet: bool, figures: bool, show: Callable[[pd.DataFrame], object]
) -> pd.DataFrame:
    suite, folder = results.suite, results.store.folder
    examined = examined_pairs(results)
    scored = load_scored(results, examined, details_later=True)
    arrays = board_cells(suite, scored)
    board = leaderboard(arrays)
    show(board)
    rates = boards(arrays, board)
    facts = ProtocolFacts(suite, results.lock)
    listed = PageCells(suite, threats_of(rates), len(results.cells), folder / PARTS)

    def on_cell(item: Scored, details: Details, row: Row) -> None:
        facts.add(item, details)
        listed.add(row)

    written = write_cells(results, scored, folder, on_cell)
    if damaged := results.by_id.keys() - written:  # found while the cells were written
        return _write_all(results.without(damaged), parquet, figures, show)
    spoken = [item for item in scored if item.metric.task.answers]
    answers = examples(suite, spoken)
    found = listed.finish()
    write_parts(suite, rates, found, answers, examined, folder / PARTS)
    page = render(suite, rates, found, facts, answers, examined, folder, len(results.cells))
    texts = {
        "leaderboard.csv": csv_text(with_intervals(board, rates[""])),
        "leaderboard.html": page,
        "leaderboard.json": json_text(suite, rates),
        "leaderboard.md": markdown_table(suite, columns(suite), rates[""]),
        "leaderboard.tex": latex_table(suite, columns(suite), rates[""]),
        "suite.json": suite.as_json(),
    }
    for name, text in texts.items():
        write_text(folder / name, text)
    for name, table in (
        ("answers.csv", answers_frame(suite, spoken)),
        ("yes_no.csv", yes_no_frame(suite, spoken)),
    ):
        if not table.empty:
            write_text(folder / name, csv_text(table))
    if parquet:
        write_parquet(cells_frame(suite, scored), folder / "cells.parquet")
    if figures:
        from bench.report.figures import draw  # here, since it imports matplotlib

        draw(suite, rates, folder / "figures")
    return board

"""Writes the files with an entry per cell, cell by cell: no whole table is held in memory."""

import csv
import json
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from bench.core.types import Details
from bench.results.manifest import Entries
from bench.results.spreadsheet import csv_row
from bench.results.tables import CELL_COLUMNS, Scored, cell_rows
from bench.store.snapshot import Results
from bench.store.writing import write_atomically

_BUFFER = 1 << 20  # bytes that are written at once, since the manifest may have a gigabyte
Row = dict[str, object]  # of cells.csv
OnCell = Callable[[Scored, Details, Row], None]


def write_cells(
    results: Results, scored: Iterable[Scored], folder: Path, on_cell: OnCell
) -> set[str]:
    """Write `cells.csv` and `manifest.json`, and return the ids of all written cells.

    The results of cells are read once for all that needs them. Cells whose results are damaged are
    left out.

    Args:
        results: Stored results of the suite.
        scored: The cells with their results.
        folder: Folder of the files.
        on_cell: Called with each cell that has run, the details of its result and its row.

    Raises:
        StoreError: A file cannot be written.
    """
    written: set[str] = set()

    def write(table: Path, manifest: Path) -> None:
        written.clear()
        entries = Entries(results.suite, results.lock)
        with ExitStack() as files:
            rows = files.enter_context(open(table, "w", _BUFFER, "utf-8", newline=""))
            described = files.enter_context(open(manifest, "w", _BUFFER, "utf-8"))
            write_row = csv.writer(rows, lineterminator="\n").writerow
            write_row(CELL_COLUMNS)
            described.write("{")
            for item, details, row in cell_rows(results.suite, scored):
                write_row(csv_row(row.values()))
                if item.cell.id not in written:  # as `manifest`, the first of equal ids counts
                    begin = ",\n " if written else "\n "
                    key = json.dumps(item.cell.id)
                    described.write(f"{begin}{key}: {entries.line(item, details)}")
                    written.add(item.cell.id)
                on_cell(item, details, row)
            described.write("\n}\n")

    def write_table(table: Path) -> None:
        write_atomically(folder / "manifest.json", partial(write, table))

    write_atomically(folder / "cells.csv", write_table)
    return written

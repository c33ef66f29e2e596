"""The table of cells as Parquet: the columns of `cells.csv` with types."""

from pathlib import Path

import pandas as pd

from bench.store.writing import write_atomically


def write_parquet(cells: pd.DataFrame, path: Path) -> None:
    """Write the table of `bench.results.tables.cells_frame`. Needs the `tables` extra."""
    numbers = {"value": "float64", "ci_low": "float64", "ci_high": "float64", "n": "int64"}
    typed = cells.astype(numbers)
    write_atomically(path, lambda part: typed.to_parquet(part, index=False, engine="pyarrow"))

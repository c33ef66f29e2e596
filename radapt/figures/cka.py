"""Figures of the CKA similarity of towers' blocks, with published values for comparison."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike

from radapt.analysis.points import PUBLISHED
from radapt.figures.marks import colour, marker
from radapt.figures.panels import BAR, CENTRED, Values, heat, long, panels, ticks
from radapt.figures.style import SMALLEST, WIDTH, styled, write

MEASURED = "measured"


def cka_maps(
    maps: Mapping[str, ArrayLike],
    stem: str | Path,
    *,
    rows: str = "CLIP",
    published: str | Path | None = None,
) -> None:
    """Draw the similarity of blocks, with a map per tower that is compared with `rows`.

    Published values are readings of the first row and of the diagonal. If they are given, two
    panels below the maps show the first row and the diagonal of every map, measured and published.

    Args:
        maps: For each tower's name, an array `[blocks of rows, blocks of the tower]` from
            `radapt.analysis.cka`.
        stem: Path of the output files without suffix.
        rows: Name of the tower of the rows.
        published: A table with the columns `row_model, column_model, row_block, column_block,
            cka`; rows with `row_model` equal to `rows` are used.

    Raises:
        ValueError: `published` has no rows with this `row_model`.
    """
    values = {name: np.asarray(value, dtype=float) for name, value in maps.items()}
    columns = ("tower", f"block of {rows}", "block", "cka")
    table = long(values, columns[0], columns[1:], first=1).assign(source=MEASURED)
    if published is not None:
        readings = _published(published, rows).set_axis(columns, axis=1).assign(source=PUBLISHED)
        table = pd.concat([table, readings], ignore_index=True)
    heights = [1.75 * -(-len(values) // 2) + 0.5, *([2.2] if published is not None else [])]
    with styled():
        figure = Figure(figsize=(WIDTH, sum(heights)))
        parts = figure.subfigures(len(heights), 1, squeeze=False, height_ratios=heights)[:, 0]
        _maps(parts[0], values, rows)
        if published is not None:
            _lines(
                parts[1], table.set_axis(["tower", "row", "block", "cka", "source"], axis=1), rows
            )
        write(figure, table, stem)


def _published(path: str | Path, rows: str) -> pd.DataFrame:
    readings = pd.read_csv(path, keep_default_na=False)
    found = readings[readings["row_model"] == rows]
    if found.empty:
        known = ", ".join(sorted(set(readings["row_model"])))
        raise ValueError(f"{path}: no row_model {rows!r}; allowed: {known}")
    return found[["column_model", "row_block", "column_block", "cka"]]


def _maps(figure: SubFigure, values: Mapping[str, Values], rows: str) -> None:
    drawn = panels(figure, len(values), 2)
    for axes, (name, value) in zip(drawn, values.items(), strict=True):
        image = heat(axes, value, 0, 1)
        axes.set(xlabel=f"block of {name}", ylabel=f"block of {rows}")
        for side, count in zip((axes.yaxis, axes.xaxis), value.shape, strict=True):
            step = 1 if count <= 12 else 4
            ticks(side, {str(block): block - 1 for block in range(step, count + 1, step)})
        if max(value.shape) <= 8:
            for (row, column), number in np.ndenumerate(value):
                text = "1.0" if number >= 0.995 else f"{number:.2f}".replace("0.", ".")
                colour = "white" if number < 0.6 else "black"
                axes.text(column, row, text, size=SMALLEST, color=colour, **CENTRED)
    figure.colorbar(image, ax=drawn, label="linear CKA", **BAR)


def _lines(figure: SubFigure, table: pd.DataFrame, rows: str) -> None:
    styles = {name: style for style, name in enumerate(dict.fromkeys(table["tower"]))}
    first, same = panels(figure, 2, 2, sharey=True)
    _draw(first, table[table["row"] == 1], styles)
    _draw(same, table[table["row"] == table["block"]], styles)
    first.set(title=f"{rows}'s block 1, other's n", ylabel="linear CKA")
    same.set(title="block n of both")
    handles, _ = first.get_legend_handles_labels()
    figure.legend(handles=handles, loc="outside lower center", ncols=2)


def _draw(axes: Axes, shown: pd.DataFrame, styles: Mapping[str, int]) -> None:
    for (tower, source), line in shown.groupby(["tower", "source"], sort=False):
        shade = colour(styles[str(tower)])
        measured = source == MEASURED
        axes.plot(
            line["block"], line["cka"], color=shade, ls="-" if measured else "--",
            marker=marker(styles[str(tower)]),
            markerfacecolor=shade if measured else "white", label=f"{tower}, {source}",
        )  # fmt: skip
    axes.set(xlabel="n", ylim=(0, 1.05))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(axis="y", lw=0.3, color="0.85")

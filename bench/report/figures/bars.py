"""Bars per dataset: clean accuracy, and the worst case under each threat."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from bench.core.types import CLEAN, WORST
from bench.report.export.leaderboard_values import Boards, Row, by_threat
from bench.report.figures.figure_style import (
    ModelIndices,
    drawable,
    legend,
    legend_height,
    save,
    table_row,
    wrapped,
)
from bench.results.number_format import Scale
from bench.stats import Interval
from radapt.figures.marks import hatching
from radapt.figures.panels import panels
from radapt.figures.style import WIDTH, styled

_LETTER = 0.065  # inches: average width of a letter of a dataset's name


def bars(boards: Boards, indices: ModelIndices, scale: Scale, stem: Path) -> None:
    """Draw a panel of bars for clean accuracy and for the worst case of each threat."""
    datasets = [name for name in boards if name]
    threats = by_threat(boards[""])
    first = next(iter(threats))
    titles = [(CLEAN, first, CLEAN)]
    titles += [
        (f"{name}, worst case", name, WORST)
        for name, rows in threats.items()
        if any(row.rates[WORST] for row in rows)
    ]
    width = WIDTH * (2 if len(datasets) * len(indices) > 20 else 1)
    longest = _LETTER * max(map(len, datasets))
    turned = longest + _LETTER > (width - 0.7) / len(datasets)
    records = []
    with styled():
        panel = 1.2 + (longest if turned else 0)
        height = panel * len(titles) + legend_height(indices, width) + 0.1
        figure = Figure(figsize=(width, height))
        for axes, (title, threat, column) in zip(
            panels(figure, len(titles), 1), titles, strict=True
        ):
            rates = {
                (row.model, dataset): (row, row.rates[column])
                for dataset in datasets
                for row in by_threat(boards[dataset])[threat]
            }
            _panel(axes, rates, datasets, indices, scale)
            axes.set_title(wrapped(title, width - 0.7))
            axes.set_xticks(range(len(datasets)), list(map(drawable, datasets)),
                            rotation=90 if turned else 0)  # fmt: skip
            for (_, dataset), (row, rate) in rates.items():
                if rate is not None:
                    records.append(table_row(row, dataset, column, rate))
        figure.supylabel(scale.axis, fontsize=8)
        legend(figure, indices, lambda index: Patch(**hatching(index)))
        save(figure, records, stem)


def _panel(
    axes: Axes,
    rates: Mapping[tuple[str, str], tuple[Row, Interval | None]],
    datasets: list[str],
    indices: ModelIndices,
    scale: Scale,
) -> None:
    wide = 0.84 / len(indices)
    for slot, (model, index) in enumerate(indices.items()):
        found = [rates[model, dataset][1] for dataset in datasets]
        bounds = np.array([[r.value, r.low, r.high] if r else [np.nan] * 3 for r in found])
        bounds *= scale.factor
        middle = np.arange(len(datasets)) + (slot - (len(indices) - 1) / 2) * wide
        axes.bar(middle, bounds[:, 0], wide, **hatching(index))
        reach = [bounds[:, 0] - bounds[:, 1], bounds[:, 2] - bounds[:, 0]]
        axes.errorbar(middle, bounds[:, 0], np.maximum(reach, 0), fmt="none", ecolor="0.5",
                      elinewidth=0.5)  # fmt: skip
    axes.set_ylim(0, 103 if scale.unit else None)
    axes.grid(axis="y", lw=0.3, color="0.9")
    axes.set_axisbelow(True)

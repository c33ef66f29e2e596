"""Accuracy against the radius; clean accuracy is at zero."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from bench.core.types import CLEAN
from bench.report.export.leaderboard_values import Column, Row, by_threat
from bench.report.figures.figure_style import (
    ModelIndices,
    error_bars,
    label_ticks,
    legend,
    legend_height,
    line_style,
    save,
    table_row,
    wrapped,
)
from bench.results.number_format import Scale
from bench.suite.specs import eps_value
from radapt.figures.panels import panels
from radapt.figures.style import SMALL, WIDTH, styled

_NORMS = {"linf": r"$L_\infty$", "l2": "$L_2$"}


def curves(
    rows: Sequence[Row], columns: Sequence[Column], indices: ModelIndices, scale: Scale, stem: Path
) -> None:
    """Draw a row of panels per attack, a panel per threat, with 95% intervals as whiskers."""
    attacks: dict[str, list[Column]] = {}
    for column in columns:
        if column.eps and not column.metric:
            attacks.setdefault(column.attack, []).append(column)
    if not attacks:
        return
    threats = by_threat(rows)
    across = len(threats)
    records = []
    with styled():
        width = WIDTH * min(across, 2)
        panel = width / across - 0.6
        height = 1.7 * len(attacks) + legend_height(indices, width) + 0.1
        figure = Figure(figsize=(width, height))
        drawings = iter(panels(figure, len(attacks) * across, across, sharey=True))
        for attack, members in attacks.items():
            members = sorted(members, key=lambda column: eps_value(column.eps))
            for name, of in threats.items():
                axes = next(drawings)
                for row in of:
                    records += list(_curve(axes, row, members, indices[row.model], scale))
                radii = [eps_value(column.eps) for column in members]
                names = ["0", *(column.eps for column in members)]
                label_ticks(axes.xaxis, [0, *radii], names, panel)
                axes.set_title(wrapped(f"{name}, {attack}", panel), fontsize=SMALL)
                axes.set(xlabel=f"ε ({_NORMS[members[0].norm]})")
                axes.grid(axis="y", lw=0.3, color="0.9")
        axes.set_ylim(bottom=0)  # panels share the axis; set it after the last panel is drawn
        figure.supylabel(scale.axis, fontsize=8)
        legend(figure, indices, lambda index: Line2D([], [], **line_style(index)))
        save(figure, records, stem)


def _curve(
    axes: Axes, row: Row, members: Sequence[Column], index: int, scale: Scale
) -> Iterator[dict[str, object]]:
    given = [(0.0, CLEAN), *((eps_value(column.eps), column.key) for column in members)]
    points = [(x, key, rate) for x, key in given if (rate := row.rates[key]) is not None]
    if not points:
        return
    ends = [list(error_bars(rate, scale)) for _, _, rate in points]
    axes.errorbar(
        [x for x, _, _ in points], [scale.factor * rate.value for _, _, rate in points],
        [[below[0] for below, _ in ends], [above[0] for _, above in ends]],
        **line_style(index), ecolor="0.7", elinewidth=0.6, lw=0.9,
    )  # fmt: skip
    for _, key, rate in points:
        yield table_row(row, "", key, rate)

"""Clean against robust accuracy with the Pareto front."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from bench.core.types import CLEAN, WORST
from bench.report.export.leaderboard_values import Row, by_threat
from bench.report.figures.figure_style import (
    ModelIndices,
    error_bars,
    legend,
    legend_height,
    marker_style,
    save,
    table_row,
    wrapped,
)
from bench.results.number_format import Scale
from bench.stats import Interval
from radapt.figures.panels import panels
from radapt.figures.style import WIDTH, styled

Point = tuple[Row, Interval, Interval]
_ACROSS = 2


def tradeoff(rows: Sequence[Row], indices: ModelIndices, scale: Scale, stem: Path) -> None:
    """Draw clean accuracy against the worst case, a panel per threat, with 95% intervals.

    The line is the Pareto front; markers on it are filled.
    """
    groups = {name: points for name, of in by_threat(rows).items() if (points := list(_points(of)))}
    if not groups:
        return
    across = min(_ACROSS, len(groups))
    down = -(-len(groups) // across)
    records = []
    with styled():
        width = WIDTH * across
        figure = Figure(figsize=(width, 2.5 * down + legend_height(indices, width)))
        for axes, (name, points) in zip(panels(figure, len(groups), across, sharey=True),
                                        groups.items(), strict=True):  # fmt: skip
            _panel(axes, points, indices, scale)
            axes.set(title=wrapped(name, WIDTH - 0.7), xlabel=f"clean {scale.axis}")
            if axes.get_subplotspec().is_first_col():  # type: ignore[union-attr]
                axes.set_ylabel(scale.of("worst case"))
            for row, clean, worst in points:
                records += [table_row(row, "", CLEAN, clean), table_row(row, "", WORST, worst)]
        axes.set_ylim(bottom=0)  # panels share the axis; set it after the last panel is drawn
        legend(figure, indices, lambda index: Line2D([], [], **marker_style(index)))
        save(figure, records, stem)


def front(points: Sequence[Point]) -> list[Point]:
    """Return the Pareto front in clean and robust accuracy, from left to right."""

    def dominates(point: Point, other: Point) -> bool:
        ours, theirs = _rates(point), _rates(other)
        return ours != theirs and ours[0] >= theirs[0] and ours[1] >= theirs[1]

    kept = [point for point in points if not any(dominates(other, point) for other in points)]
    return sorted(kept, key=_rates)


def _rates(point: Point) -> tuple[float, float]:
    return point[1].value, point[2].value


def _points(rows: Sequence[Row]) -> list[Point]:
    pairs = [(row, row.rates[CLEAN], row.rates[WORST]) for row in rows]
    return [(row, clean, worst) for row, clean, worst in pairs if clean and worst]


def _panel(axes: Axes, points: Sequence[Point], indices: ModelIndices, scale: Scale) -> None:
    best = front(points)
    factor = scale.factor
    left = min(factor * clean.low for _, clean, _ in points) - 0.02 * factor
    x, y = [left], [factor * best[0][2].value]
    for point in best:  # level to each point, then down to the next
        across, up = (factor * value for value in _rates(point))
        x += [x[-1], across]
        y += [up, up]
    axes.plot([*x, x[-1]], [*y, 0], color="0.6", lw=0.8, zorder=0)
    for point in points:
        row, clean, worst = point
        style = marker_style(indices[row.model])
        axes.errorbar(
            factor * clean.value, factor * worst.value,
            list(error_bars(worst, scale)), list(error_bars(clean, scale)),
            **style, ecolor="0.7", elinewidth=0.6,
            markerfacecolor=style["color"] if point in best else "white",
        )  # fmt: skip
    axes.grid(lw=0.3, color="0.9")
    axes.set_axisbelow(True)

"""Accuracy over what a sweep varies: anchor strength, filter cutoff, replaced modules."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.lines import Line2D

from radapt.analysis.sweeps import PUBLISHED, positions, published_points, sweep_points
from radapt.figures.style import COLOURS, MARKERS, PAGE, styled, write

AXES = {
    "alpha": "anchor strength α",
    "cutoff": "filter cutoff $D_0$ (offsets at 224 px)",
    "modules": "replaced module",
}
THIN = 0.8


def curves(
    cells: pd.DataFrame,
    field: str,
    stem: str | Path,
    *,
    attack: str = "apgd-ce",
    eps: str | None = None,
    references: Sequence[str] = (),
    published: str | Path | None = None,
) -> None:
    """Draw clean and robust accuracy over a swept field, with 95% intervals as bands.

    There is a row of panels per threat and a panel per data set, and published curves have a
    row of their own, since their models and images are others.

    Args:
        cells: The harness's table, one row per number; see `sweep_points`.
        field: `alpha`, `cutoff`, `modules` or another field that models are swept over.
        stem: Where to write, without a suffix.
        attack: The attack that robust accuracy is read at.
        eps: Its budget as the table has it; the largest one when not given.
        references: Models without a sweep to draw as level lines.
        published: A table of published curves over the same field.

    Raises:
        ValueError: No model sweeps the field, none was attacked so, or a reference is not there.
    """
    points = sweep_points(cells, field, attack=attack, eps=eps, references=references)
    clean = points[points["threat"] == ""]
    attacked = points[points["threat"] != ""].groupby(["threat", "attack", "eps"], sort=False)
    rows = {
        f"{threat}, {attack} {eps}": pd.concat([clean, part])
        for (threat, attack, eps), part in attacked
    }
    if published is not None:
        rows[PUBLISHED] = published_points(published)
        points = pd.concat([points, rows[PUBLISHED]], ignore_index=True)
    # references last, so that a series looks the same with and without them
    series = [*points.loc[points["x"] != "", "series"], *points["series"]]
    looks = {name: place for place, name in enumerate(dict.fromkeys(series))}
    with styled():
        figure = Figure(figsize=(PAGE, 1.9 * len(rows) + 0.5))
        parts = figure.subfigures(len(rows), 1, squeeze=False)[:, 0]
        for part, (title, row) in zip(parts, rows.items(), strict=True):
            part.suptitle(title, fontweight="bold", fontsize=8)
            _row(part, row, looks)
        parts[-1].supxlabel(AXES.get(field, field), fontsize=8)
        handles = list(_legend(looks, references))
        one_line = sum(8 + len(str(handle.get_label())) for handle in handles) < 130
        columns = len(handles) if one_line else -(-len(handles) // 2)
        figure.legend(handles=handles, loc="outside upper center", ncols=columns)
        write(figure, points, stem)


def _row(part: SubFigure, points: pd.DataFrame, looks: Mapping[str, int]) -> None:
    by_dataset = points.groupby("dataset", sort=False)
    panels = part.subplots(1, by_dataset.ngroups, sharey=True, squeeze=False)[0]
    for axes, (dataset, shown) in zip(panels, by_dataset, strict=True):
        places = positions(x for x in shown["x"] if x)
        for (series, measure), line in shown.groupby(["series", "measure"], sort=False):
            _draw(axes, line, places, looks[str(series)], measure == "clean")
        axes.set_title(dataset)
        axes.grid(axis="y", lw=0.3, color="0.85")
        _label_places(axes, places, room=PAGE / len(panels) - 0.5)
    highest = 100 * points[["value", "ci_high"]].max().max()
    panels[0].set_ylim(-3, min(highest + 5, 103))
    panels[0].set_ylabel("accuracy (%)")


def _label_places(axes: Axes, places: Mapping[str, float], room: float) -> None:
    """Name the places on an axis of `room` inches, unless they are many numbers."""
    words = not all(name.replace(".", "", 1).isdigit() for name in places)
    if not words and len(places) > 8:
        return
    shown = list(places)[:: 1 if len(places) <= 12 else 4]
    wide = sum(len(name) + 2 for name in shown) * 0.055 > room
    axes.set_xticks([places[name] for name in shown], shown, rotation=90 if wide else 0)


def _draw(
    axes: Axes, line: pd.DataFrame, places: Mapping[str, float], look: int, is_clean: bool
) -> None:
    colour, dashes = COLOURS[look % len(COLOURS)], "--" if is_clean else "-"
    percent = 100 * line[["value", "ci_low", "ci_high"]].astype(float)
    if not line["x"].any():
        axes.axhline(percent["value"].iloc[0], color=colour, ls=dashes, lw=THIN)
        return
    percent = percent.assign(at=line["x"].map(places)).sort_values("at")
    axes.plot(
        percent["at"], percent["value"], color=colour, ls=dashes,
        marker=MARKERS[look % len(MARKERS)], markerfacecolor="white" if is_clean else colour,
    )  # fmt: skip
    axes.fill_between(
        percent["at"], percent["ci_low"], percent["ci_high"], color=colour, alpha=0.15, lw=0
    )


def _legend(looks: Mapping[str, int], level: Sequence[str]) -> Iterator[Line2D]:
    for name, look in looks.items():
        marker, width = ("", THIN) if name in level else (MARKERS[look % len(MARKERS)], 1.2)
        colour = COLOURS[look % len(COLOURS)]
        yield Line2D([], [], label=name, color=colour, marker=marker, lw=width)
    yield Line2D([], [], color="0.5", ls="--", marker="o", markerfacecolor="white", label="clean")
    yield Line2D([], [], color="0.5", marker="o", label="robust")

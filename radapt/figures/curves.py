"""Curves of accuracy over a swept field: anchor strength, filter cutoff, replaced modules."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.lines import Line2D

from radapt.analysis.points import PUBLISHED
from radapt.analysis.sweeps import positions, published_points, sweep_points
from radapt.figures.marks import colour, marker
from radapt.figures.style import SMALL, WIDTH, styled, write

AXES = {
    "alpha": "anchor strength α",
    "cutoff": "filter cutoff $D_0$ (offsets at 224 px)",
    "modules": "replaced module",
}
THIN = 0.8  # line width in points
ACROSS = 2  # panels in a row
Parts = Mapping[str, pd.DataFrame]


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

    Clean accuracy, each threat model, and published values (of other models and images) have
    their own panels, one per dataset. Each series has its own marker; clean accuracy has open
    markers.

    Args:
        cells: The harness's table, one row per cell; see `sweep_points`.
        field: The swept field, such as `alpha`, `cutoff` or `modules`.
        stem: Path of the output files without suffix.
        attack: Name of the attack for robust accuracy.
        eps: Radius of the attack, as written in the table; None for the largest radius.
        references: Names of models without a sweep, drawn as horizontal lines.
        published: A table of published curves over the same field.

    Raises:
        ValueError: No model sweeps the field, the table has no cells of this attack and radius,
            or a reference is not in the table.
    """
    points = sweep_points(cells, field, attack=attack, eps=eps, references=references)
    blocks: list[Parts] = [_by_threat(points)]
    if published is not None:
        others = published_points(published)
        blocks.append({PUBLISHED: others})
        points = pd.concat([points, others], ignore_index=True)
    # references last, so that they do not change the style of a series
    series = [*points.loc[points["x"] != "", "series"], *points["series"]]
    styles = {name: place for place, name in enumerate(dict.fromkeys(series))}
    handles = list(_legend(styles, references))
    heights = [1.15 * _rows(block) + 0.3 for block in blocks]
    with styled():
        figure = Figure(figsize=(WIDTH, sum(heights) + 0.06 * len(handles)))
        parts = figure.subfigures(len(blocks), 1, squeeze=False, height_ratios=heights)[:, 0]
        for part, block in zip(parts, blocks, strict=True):
            _panels(part, block, styles)
        parts[-1].supxlabel(AXES.get(field, field), fontsize=8)
        figure.legend(handles=handles, loc="outside upper center", ncols=3)
        write(figure, points, stem)


def _by_threat(points: pd.DataFrame) -> Parts:
    """Return the points of each threat model by the title of its panels, clean points first."""
    groups = points.groupby(["threat", "attack", "eps"], sort=False)
    return {
        f"{threat},\n{attack} {eps}" if threat else "clean": part
        for (threat, attack, eps), part in groups
    }


def _rows(block: Parts) -> int:
    """Return the number of rows of panels in a block; each part starts a new row."""
    return sum(-(-part["dataset"].nunique() // ACROSS) for part in block.values())


def _panels(figure: SubFigure, block: Parts, styles: Mapping[str, int]) -> None:
    """Draw a panel per part and dataset; of panels with equal axes, only the lowest has labels."""
    spare = list(figure.subplots(_rows(block), ACROSS, squeeze=False).flat)
    named: dict[tuple[int, tuple[str, ...]], Axes] = {}
    for title, part in block.items():
        highest = min(100 * part[["value", "ci_high"]].max().max() + 5, 103)
        for index, (dataset, shown) in enumerate(part.groupby("dataset", sort=False)):
            axes = spare.pop(0)
            places = positions(x for x in shown["x"] if x)
            for (series, measure), line in shown.groupby(["series", "measure"], sort=False):
                _draw(axes, line, places, styles[str(series)], measure == "clean")
            axes.set(title=dataset, ylim=(-3, highest))
            axes.grid(axis="y", lw=0.3, color="0.85")
            _label_places(axes, places)
            column = index % ACROSS
            if column == 0:
                axes.set_ylabel(f"{title} (%)", fontsize=SMALL)
            above = named.pop((column, tuple(places)), None)
            if above is not None:
                above.tick_params(labelbottom=False)
            named[column, tuple(places)] = axes
        for _ in range(-(index + 1) % ACROSS):
            spare.pop(0).remove()


def _label_places(axes: Axes, places: Mapping[str, float]) -> None:
    """Label the positions on an axis, unless they are many numbers."""
    numeric = all(name.replace(".", "", 1).isdigit() for name in places)
    if numeric and len(places) > 8:
        return
    shown = list(places)[:: 1 if len(places) <= 12 else 4]
    wide = sum(len(name) + 2 for name in shown) * 0.055 > WIDTH / ACROSS - 0.35
    axes.set_xticks([places[name] for name in shown], shown, rotation=90 if wide else 0)


def _draw(
    axes: Axes, line: pd.DataFrame, places: Mapping[str, float], style_index: int, is_clean: bool
) -> None:
    style = _style(style_index, is_clean)
    percent = 100 * line[["value", "ci_low", "ci_high"]].astype(float)
    if not line["x"].any():
        level = [percent["value"].iloc[0]] * 2
        edges = axes.get_yaxis_transform()
        axes.plot([0, 1], level, transform=edges, markevery=[1], clip_on=False, lw=THIN, **style)
        return
    percent = percent.assign(at=line["x"].map(places)).sort_values("at")
    axes.plot(percent["at"], percent["value"], markevery=-(-len(percent) // 12), **style)
    axes.fill_between(
        percent["at"], percent["ci_low"], percent["ci_high"], color=style["color"], alpha=0.15, lw=0
    )


def _style(style_index: int, is_clean: bool) -> dict[str, Any]:
    shade = colour(style_index)
    return {
        "color": shade,
        "ls": "--" if is_clean else "-",
        "marker": marker(style_index),
        "markerfacecolor": "white" if is_clean else shade,
    }


def _legend(styles: Mapping[str, int], level: Iterable[str]) -> Iterator[Line2D]:
    for name, style_index in styles.items():
        width = THIN if name in level else 1.2
        yield Line2D([], [], label=name, lw=width, **_style(style_index, False))
    yield Line2D([], [], color="0.5", ls="--", marker="o", markerfacecolor="white", label="clean")
    yield Line2D([], [], color="0.5", marker="o", label="robust")

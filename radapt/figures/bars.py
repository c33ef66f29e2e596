"""Bar charts: accuracy of the parts of R-Adapt+, and attention's dependence on the image."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from radapt.analysis.points import PUBLISHED, accuracy_points, published_ablation
from radapt.figures.marks import hatching
from radapt.figures.panels import Values, long, panels
from radapt.figures.style import SMALL, WIDTH, styled, write


def ablation(
    cells: pd.DataFrame,
    stem: str | Path,
    *,
    attack: str = "apgd-ce",
    eps: str | None = None,
    published: str | Path | None = None,
) -> None:
    """Draw clean and robust accuracy of a few models, as in the paper's Table 6.

    A row of bars shows clean accuracy or robust accuracy for a threat model, with 95% intervals.
    Published numbers have rows of their own, because their datasets differ.

    Args:
        cells: The harness's table, one row per cell; see `accuracy_points`.
        stem: Path of the output files without suffix.
        attack: Name of the attack for robust accuracy.
        eps: Radius of the attack, as written in the table; None for the largest radius.
        published: File of the published tables; see `published_ablation`.

    Raises:
        ValueError: The table has no cells of this attack and radius, or `published` has no rows
            of Table 6.
    """
    points = accuracy_points(cells, attack=attack, eps=eps)
    if published is not None:
        points = pd.concat([points, published_ablation(published)], ignore_index=True)
    rows = list(points.groupby(["threat", "measure", "eps"], sort=False))
    models = list(dict.fromkeys(points["series"]))
    many = max(part["dataset"].nunique() for _, part in rows) > 4
    with styled():
        figure = Figure(figsize=(WIDTH, (1.5 if many else 1.05) * len(rows) + 0.3))
        for axes, ((threat, measure, budget), part) in zip(
            panels(figure, len(rows), 1), rows, strict=True
        ):
            against = measure if threat == PUBLISHED else f"{attack} {budget}"
            axes.set_title(f"{threat}, {against}" if threat else str(measure))
            places = {name: place for place, name in enumerate(dict.fromkeys(part["dataset"]))}
            groups = {}
            for model in models:
                rows_of_model = part[part["series"] == model].set_index("dataset")
                percent = 100 * rows_of_model[["value", "ci_low", "ci_high"]]
                groups[model] = percent.reindex(places)
            _accuracies(axes, groups)
            axes.set_xticks(list(places.values()), list(places), rotation=90 if many else 0)
            axes.set_ylim(0, 103)
        figure.supylabel("accuracy (%)", fontsize=8)
        figure.legend(*axes.get_legend_handles_labels(), loc="outside upper center", ncols=4)
        write(figure, points, stem)


def _accuracies(axes: Axes, groups: Mapping[str, pd.DataFrame]) -> None:
    _bars(axes, {name: part["value"].to_numpy(float) for name, part in groups.items()})
    for bars, part in zip(list(axes.containers), groups.values(), strict=True):
        middles = [bar.get_x() + bar.get_width() / 2 for bar in bars]
        reach = [part["value"] - part["ci_low"], part["ci_high"] - part["value"]]
        axes.errorbar(middles, part["value"], reach, fmt="none", ecolor="0.55", elinewidth=0.7)


def dependence_bars(values: Mapping[str, ArrayLike], stem: str | Path) -> None:
    """Draw how much each head's attention depends on the image, with a bar per tower.

    Args:
        values: For each tower's name, an array `[heads]` from `radapt.analysis.input_dependence`.
        stem: Path of the output files without suffix.
    """
    heads = {name: np.asarray(value, dtype=float) for name, value in values.items()}
    count = max(len(value) for value in heads.values())
    with styled():
        figure = Figure(figsize=(WIDTH, 2.2))
        axes = figure.subplots()
        _bars(axes, {f"{name} (mean {value.mean():.2f})": value for name, value in heads.items()})
        axes.set_xticks(range(count), [str(head + 1) for head in range(count)], fontsize=SMALL)
        axes.set(xlabel="head", ylabel="divergence between\nimages (bits)")
        figure.legend(loc="outside upper center", ncols=2)
        write(figure, long(heads, "tower", ("head", "divergence"), first=1), stem)


def _bars(axes: Axes, groups: Mapping[str, Values]) -> None:
    """Draw a bar per value; bars with the same index are side by side."""
    width = 0.8 / len(groups)
    for index, (name, value) in enumerate(groups.items()):
        axes.bar(
            np.arange(len(value)) + (index - (len(groups) - 1) / 2) * width, value, width,
            label=name, **hatching(index),
        )  # fmt: skip

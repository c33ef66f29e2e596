"""Maps of frequency changes, and overlays of attention on images."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from matplotlib import colormaps
from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from radapt.figures.panels import BAR, heat, long, panels, ticks
from radapt.figures.style import WIDTH, styled, write

DIMMED = 0.4  # brightness of the images under attention maps


def spectral_maps(
    maps: Mapping[str, ArrayLike],
    stem: str | Path,
    *,
    limit: float | None = None,
    label: str = "relative change",
) -> None:
    """Draw the change of kernels' spectra; a line separates increases from decreases.

    Args:
        maps: For each map's title, such as `FARE - CLIP`, an array `[p,p]` from
            `radapt.analysis.spectral_shift`.
        stem: Path of the output files without suffix.
        limit: The colour scale is [-limit, limit]; None for the largest absolute value.
        label: Label of the colour scale.
    """
    values = {name: np.asarray(value, dtype=float) for name, value in maps.items()}
    largest = max(float(np.abs(value).max()) for value in values.values())
    end = limit or largest
    with styled():
        figure = Figure(figsize=(WIDTH, 1.05 * -(-len(values) // 3) + 0.75))
        drawn = panels(figure, len(values), 3)
        for axes, (name, value) in zip(drawn, values.items(), strict=True):
            image = heat(axes, value, -end, end)
            if value.min() < 0 < value.max():
                axes.contour(value, levels=[0], colors="white", linewidths=0.8)
            axes.set_title(name)
            for side, size in zip((axes.yaxis, axes.xaxis), value.shape, strict=True):
                middle = size // 2
                last = size - 1
                ticks(side, {f"−{middle}": 0, "0": middle, f"{last - middle}": last})
        figure.supxlabel("cycles per patch", fontsize=8)
        figure.supylabel("cycles per patch", fontsize=8)
        extend = "both" if largest > end else "neither"
        figure.colorbar(image, ax=drawn, label=label, extend=extend, **BAR)
        size = len(next(iter(values.values())))
        columns = ("vertical", "horizontal", "shift")
        write(figure, long(values, "map", columns, first=-(size // 2)), stem)


def attention_overlays(images: ArrayLike, maps: Mapping[str, ArrayLike], stem: str | Path) -> None:
    """Draw each tower's attention over the images, with a row per image and a column per tower.

    Colours are relative to the largest value of the row, so the towers of a row can be compared.
    The table has the absolute values.

    Args:
        images: Images `[b,3,h,w]` in [0,1].
        maps: For each tower's name, an array `[b,rows,columns]` from `radapt.analysis.heat_map`;
            a value per patch is enough, and keeps the table small.
        stem: Path of the output files without suffix.
    """
    pictures = np.asarray(images, dtype=float).transpose(0, 2, 3, 1)
    values = {name: np.asarray(value, dtype=float) for name, value in maps.items()}
    height, width = pictures.shape[1:3]
    extent = (-0.5, width - 0.5, height - 0.5, -0.5)
    columns = 1 + len(values)
    side = WIDTH / columns
    with styled():
        figure = Figure(figsize=(WIDTH, side * len(pictures) + 0.6))
        drawn = panels(figure, len(pictures) * columns, columns)
        for index, picture in enumerate(pictures):
            row = drawn[index * columns : (index + 1) * columns]
            row[0].imshow(picture, extent=extent)
            largest = max(float(value[index].max()) for value in values.values())
            for axes, value in zip(row[1:], values.values(), strict=True):
                # the image is dark, so that attention is light, also in a greyscale print
                axes.imshow(DIMMED * picture.mean(-1), cmap="gray", vmin=0, vmax=1, extent=extent)
                overlay = colormaps["inferno"](value[index] / largest)
                overlay[..., 3] = 0.85 * value[index] / largest  # the image stays visible
                axes.imshow(overlay, extent=extent, interpolation="bilinear")
        for axes, title in zip(drawn, ("image", *values), strict=False):
            axes.set_title(title)
        for axes in drawn:
            axes.set_axis_off()
        scale = ScalarMappable(cmap="inferno")
        figure.colorbar(scale, ax=drawn, label="attention, of the row's largest", **BAR)
        names = ("image", "row", "column", "attention")
        write(figure, long(values, "tower", names, first=0), stem)

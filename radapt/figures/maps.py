"""Maps of blocks and frequencies, overlays of attention, and bars of heads."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from numpy.typing import ArrayLike, NDArray

from radapt.figures.style import COLOURS, COLUMN, HATCHES, ORDERED, PAGE, SMALL, styled, write

Values = NDArray[np.float64]


def cka_maps(maps: Mapping[str, ArrayLike], stem: str | Path, *, rows: str = "CLIP") -> None:
    """Draw how alike blocks are, a map per tower that `rows` is compared with.

    Args:
        maps: Per tower its name and a `[blocks of rows, its blocks]` array from
            `radapt.analysis.cka`.
        stem: Where to write, without a suffix.
        rows: Name of the tower of the rows.
    """
    values = {name: np.asarray(value, dtype=float) for name, value in maps.items()}
    with styled():
        figure, panels = _panels(1, len(values))
        for axes, (name, value) in zip(panels[0], values.items(), strict=True):
            image = _heat(axes, value, 0, 1)
            axes.set(xlabel=f"block of {name}", ylabel=f"block of {rows}")
            for side, count in zip((axes.yaxis, axes.xaxis), value.shape, strict=True):
                step = 1 if count <= 12 else 4
                _ticks(side, {str(block): block - 1 for block in range(step, count + 1, step)})
            if max(value.shape) <= 8:
                for (row, column), number in np.ndenumerate(value):
                    colour = "white" if number < 0.6 else "black"
                    axes.text(column, row, f"{number:.2f}", size=6, color=colour, **_CENTRED)
        figure.colorbar(image, ax=panels, label="linear CKA")
        write(figure, _long(values, "tower", (f"block of {rows}", "block", "cka"), first=1), stem)


def spectral_maps(
    maps: Mapping[str, ArrayLike],
    stem: str | Path,
    *,
    limit: float | None = None,
    label: str = "relative change",
) -> None:
    """Draw how kernels' spectra shift; a line separates gains from losses.

    Args:
        maps: Per map its title, such as `FARE - CLIP`, and a `[p,p]` array from
            `radapt.analysis.spectral_shift`.
        stem: Where to write, without a suffix.
        limit: End of the colour scale on either side of zero; the largest value when not given.
        label: What the values are, as told beside the colours.
    """
    values = {name: np.asarray(value, dtype=float) for name, value in maps.items()}
    largest = max(float(np.abs(value).max()) for value in values.values())
    end = limit or largest
    with styled():
        figure, panels = _panels(1, len(values))
        for axes, (name, value) in zip(panels[0], values.items(), strict=True):
            image = _heat(axes, value, -end, end)
            if value.min() < 0 < value.max():
                axes.contour(value, levels=[0], colors="white", linewidths=0.8)
            axes.set(title=name, xlabel="cycles per patch", ylabel="cycles per patch")
            for side, size in zip((axes.yaxis, axes.xaxis), value.shape, strict=True):
                middle = size // 2
                last = size - 1
                _ticks(side, {f"−{middle}": 0, "0": middle, f"{last - middle}": last})
        extend = "both" if largest > end else "neither"
        figure.colorbar(image, ax=panels, label=label, extend=extend)
        size = len(next(iter(values.values())))
        columns = ("vertical", "horizontal", "shift")
        write(figure, _long(values, "map", columns, first=-(size // 2)), stem)


def attention_overlays(images: ArrayLike, maps: Mapping[str, ArrayLike], stem: str | Path) -> None:
    """Lay each tower's attention over the images: a row per image, a column per tower.

    Colours are relative to the largest value of the row, so that the towers of a row can be
    compared; the table has the values themselves.

    Args:
        images: `[b,3,h,w]` in [0,1].
        maps: Per tower its name and a `[b,rows,columns]` array from
            `radapt.analysis.heat_map`; one value per patch is enough, and keeps the table small.
        stem: Where to write, without a suffix.
    """
    pictures = np.asarray(images, dtype=float).transpose(0, 2, 3, 1)
    values = {name: np.asarray(value, dtype=float) for name, value in maps.items()}
    height, width = pictures.shape[1:3]
    extent = (-0.5, width - 0.5, height - 0.5, -0.5)
    with styled():
        figure, panels = _panels(len(pictures), 1 + len(values))
        for index, (row, picture) in enumerate(zip(panels, pictures, strict=True)):
            row[0].imshow(picture, extent=extent)
            largest = max(float(value[index].max()) for value in values.values())
            for axes, value in zip(row[1:], values.values(), strict=True):
                axes.imshow(picture.mean(-1), cmap="gray", vmin=0, vmax=1, extent=extent)
                heat = colormaps["inferno"](value[index] / largest)
                heat[..., 3] = 0.85 * value[index] / largest  # the image shows through
                axes.imshow(heat, extent=extent, interpolation="bilinear")
        for axes, title in zip(panels[0], ("image", *values), strict=True):
            axes.set_title(title)
        for axes in panels.flat:
            axes.set_axis_off()
        scale = ScalarMappable(cmap="inferno")
        figure.colorbar(scale, ax=panels, label="attention, of the row's largest", shrink=0.8)
        names = ("image", "row", "column", "attention")
        write(figure, _long(values, "tower", names, first=0), stem)


def dependence_bars(values: Mapping[str, ArrayLike], stem: str | Path) -> None:
    """Draw how much each head's attention depends on the image, a bar per tower.

    Args:
        values: Per tower its name and a `[heads]` array from `radapt.analysis.input_dependence`.
        stem: Where to write, without a suffix.
    """
    heads = {name: np.asarray(value, dtype=float) for name, value in values.items()}
    count = max(len(value) for value in heads.values())
    width = 0.8 / len(heads)
    with styled():
        narrow = count * len(heads) <= 16
        figure = Figure(figsize=(COLUMN if narrow else PAGE, 2.2))
        axes = figure.subplots()
        for index, (name, value) in enumerate(heads.items()):
            axes.bar(
                np.arange(len(value)) + (index - (len(heads) - 1) / 2) * width, value, width,
                color=COLOURS[index % len(COLOURS)], hatch=HATCHES[index % len(HATCHES)],
                edgecolor="white", lw=0.3, label=f"{name} (mean {value.mean():.2f})",
            )  # fmt: skip
        axes.set_xticks(range(count), [str(head + 1) for head in range(count)])
        axes.set(xlabel="head", ylabel="divergence between\nimages (bits)")
        figure.legend(loc="outside upper center", ncols=2 if narrow else 4)
        write(figure, _long(heads, "tower", ("head", "divergence"), first=1), stem)


_CENTRED: Mapping[str, Any] = {"ha": "center", "va": "center"}


def _panels(rows: int, columns: int) -> tuple[Figure, Any]:
    """Return a figure of square panels, a column wide where they fit."""
    width = COLUMN if columns == 1 else PAGE
    side = min((width - 0.9) / columns, 2.4)
    figure = Figure(figsize=(width, rows * side + 0.4))
    return figure, figure.subplots(rows, columns, squeeze=False)


def _heat(axes: Axes, value: Values, low: float, high: float) -> AxesImage:
    return axes.imshow(value, cmap=ORDERED, vmin=low, vmax=high)


def _ticks(side: Axis, places: Mapping[str, float]) -> None:
    side.set_ticks(list(places.values()), list(places), fontsize=SMALL)


def _long(
    values: Mapping[str, Values], key: str, columns: tuple[str, ...], first: int
) -> pd.DataFrame:
    """Return arrays as one row per number: its name, its indices counted from `first`, itself."""
    rows = [
        (name, *(index + first for index in place), number)
        for name, value in values.items()
        for place, number in np.ndenumerate(value)
    ]
    return pd.DataFrame(rows, columns=[key, *columns])

"""Panels of maps: their positions, colours and axes, and their values as a table."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import FigureBase
from matplotlib.image import AxesImage
from numpy.typing import NDArray

from radapt.figures.style import ORDERED, SMALL

Values = NDArray[np.float64]
BAR: Mapping[str, Any] = {"location": "top", "aspect": 40, "shrink": 0.8}  # colour bar
CENTRED: Mapping[str, Any] = {"ha": "center", "va": "center"}


def panels(figure: FigureBase, count: int, across: int, *, sharey: bool = False) -> list[Axes]:
    """Return `count` axes with `across` of them in a row; the last row may have fewer."""
    across = min(across, count)
    grid = figure.subplots(-(-count // across), across, squeeze=False, sharey=sharey)
    for spare in grid.flat[count:]:
        spare.remove()
    return list(grid.flat[:count])


def heat(axes: Axes, value: Values, low: float, high: float) -> AxesImage:
    """Draw a map in which larger values are lighter."""
    return axes.imshow(value, cmap=ORDERED, vmin=low, vmax=high)


def ticks(side: Axis, places: Mapping[str, float]) -> None:
    """Label positions on an axis."""
    side.set_ticks(list(places.values()), list(places), fontsize=SMALL)


def long(
    values: Mapping[str, Values], key: str, columns: tuple[str, ...], first: int
) -> pd.DataFrame:
    """Return arrays as a table with a row per number.

    Args:
        values: Arrays by name.
        key: Column of the arrays' names.
        columns: Columns of the indices, and of the number.
        first: The first index, such as 0 or 1.
    """
    rows = [
        (name, *(index + first for index in place), number)
        for name, value in values.items()
        for place, number in np.ndenumerate(value)
    ]
    return pd.DataFrame(rows, columns=[key, *columns])

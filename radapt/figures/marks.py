"""Marks of models in figures: 20 shapes and 20 hatches, so that grey prints show them too.

Colours repeat after seven, so 140 models have different marks.
"""

from functools import cache
from typing import Any

import numpy as np
from matplotlib.markers import MarkerStyle
from matplotlib.path import Path
from matplotlib.transforms import Affine2D

# Okabe and Ito's colours, ordered so that neighbours differ in lightness
COLOURS = ("#0072B2", "#E69F00", "#000000", "#CC79A7", "#009E73", "#56B4E9", "#D55E00")
_SHAPES = ("o", "s", "^", "D", "v", "P", "X", "<", "*", ">")  # the second ten have a hole
_HATCHES = ("", "////", "\\\\\\\\", "xxxx", "----", "||||", "++++", "oo", "**", "//--")
_DOTS = "...."  # the second ten are dotted too
_HOLE = 0.2  # radius, of a marker's width


def colour(index: int) -> str:
    """Return the colour of a model by its index."""
    return COLOURS[index % len(COLOURS)]


@cache
def marker(index: int) -> str | Path:
    """Return the marker of a model by its index; 20 differ in shape."""
    shape = _SHAPES[index % len(_SHAPES)]
    return _with_hole(shape) if has_hole(index) else shape


def has_hole(index: int) -> bool:
    """Return whether a model's marker has a hole, which a line behind it would fill."""
    return index % (2 * len(_SHAPES)) >= len(_SHAPES)


def hatching(index: int) -> dict[str, Any]:
    """Return the style of a model's bars by its index: 20 hatches, with white lines."""
    again, place = divmod(index % (2 * len(_HATCHES)), len(_HATCHES))
    hatch = _HATCHES[place] + _DOTS * again
    # `color` would also colour the hatch, which is then invisible in a legend
    return {"facecolor": colour(index), "hatch": hatch, "edgecolor": "white", "lw": 0.3}


def _with_hole(shape: str) -> Path:
    style = MarkerStyle(shape)
    outer = style.get_path().transformed(style.get_transform())
    outer = outer.transformed(Affine2D().scale(0.5 / np.abs(outer.vertices).max()))
    x, y = np.asarray(outer.to_polygons()[0]).T
    turns = float(np.sign(x @ np.roll(y, -1) - y @ np.roll(x, -1)))
    # what runs around the other way is left out of the filled area
    angles = -turns * np.linspace(0, 2 * np.pi, 17)
    middle = (0.0, -1 / 12 if shape == "^" else 1 / 12 if shape == "v" else 0.0)
    hole = _HOLE * np.column_stack((np.cos(angles), np.sin(angles))) + middle
    return Path.make_compound_path(outer, Path(hole, closed=True))

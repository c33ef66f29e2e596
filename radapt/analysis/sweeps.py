"""Read the curves of sweeps from a results table.

A swept model has its value in its name, for example `R-Adapt_CLIP[alpha=0.2]`.
"""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import pandas as pd

from radapt.analysis.points import accuracy_points, good_cells, published

_ENDS = {"none": -1, "Emb": 0, "Head": 10_000}
_PARTS = {"Attn": 0, "MLP": 1, "": 2}


def sweep_points(
    cells: pd.DataFrame,
    field: str,
    *,
    attack: str = "apgd-ce",
    eps: str | None = None,
    references: Sequence[str] = (),
) -> pd.DataFrame:
    """Return the points of the curves over a swept field.

    Args:
        cells: The harness's table, one row per cell; see `accuracy_points`.
        field: The swept field, such as `alpha`, `cutoff` or `modules`.
        attack: Name of the attack for robust accuracy.
        eps: Radius of the attack, as written in the table; None for the largest radius.
        references: Names of models without a sweep to include; their `x` is empty.

    Returns:
        The columns of `accuracy_points`; `series` is the model's name without its value, `x` is
        the value.

    Raises:
        ValueError: No model sweeps the field, the table has no cells of this attack and radius,
            or a reference is not in the table.
    """
    good = good_cells(cells)
    named = {model: _split(model, field) for model in good["model"].unique()}
    kept = {model: place for model, place in named.items() if place[1]}
    if not kept:
        raise ValueError(f"no model sweeps {field!r}; models: {', '.join(named) or 'none'}")
    if absent := [model for model in references if model not in named]:
        raise ValueError(f"references: got {absent}; allowed: {', '.join(named)}")
    kept |= {model: (model, "") for model in references}
    points = accuracy_points(good[good["model"].isin(kept)], attack=attack, eps=eps)
    places = [kept[model] for model in points["series"]]
    return points.assign(series=[name for name, _ in places], x=[value for _, value in places])


def published_points(path: str | Path) -> pd.DataFrame:
    """Read a published sweep into the columns of `sweep_points`, without intervals.

    Args:
        path: A table with the columns `model, dataset, x, measure, value_percent`.
    """
    table = pd.read_csv(path, dtype={"x": str}, keep_default_na=False)
    table["x"] = [_unit(x) for x in table["x"]]
    return published(table.rename(columns={"model": "series"}).assign(attack="", eps=""))


def positions(values: Iterable[str]) -> dict[str, float]:
    """Return the position of each value of a sweep on its axis.

    The position of a number is the number, and of `none` one step after the largest number.
    Names of modules have the positions 0, 1, 2, ... from input to output.
    """
    found = set(values)
    try:
        numbers = {value: float(value) for value in found if value != "none"}
    except ValueError:
        return {name: float(place) for place, name in enumerate(sorted(found, key=_depth))}
    ordered = dict(sorted(numbers.items(), key=lambda item: item[1]))
    if "none" in found:
        places = list(ordered.values())
        step = places[-1] - places[-2] if len(places) > 1 else 1.0
        ordered["none"] = (places[-1] if places else 0.0) + step
    return ordered


def _split(model: str, field: str) -> tuple[str, str]:
    """Split a model's name into its series and its value of a field; empty if it has no value."""
    name, bracket, inside = model.partition("[")
    fields = re.split(r",(?=\w+=)", inside.removesuffix("]")) if bracket else []
    values = dict(text.split("=", 1) for text in fields if "=" in text)
    value = values.pop(field, "")
    others = ",".join(f"{key}={text}" for key, text in values.items())
    return (f"{name}[{others}]" if others else name), _unit(value)


def _unit(value: str) -> str:
    """Return the unit at the end of a range of modules: `B2` for `..B2` or `B2..`."""
    return value.removeprefix("..").removesuffix("..")


def _depth(name: str) -> tuple[int, int, str]:
    if name in _ENDS:
        return _ENDS[name], 0, name
    block = re.match(r"B(\d+)(?:-(Attn|MLP))?", name)
    if block is None:
        return _ENDS["Head"] + 1, 0, name
    return int(block[1]), _PARTS[block[2] or ""], name

"""Read sweeps off a results table: which point of which curve each number is.

A swept model is named after its value, as in `R-Adapt_CLIP[alpha=0.2]`.
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
    """Return the points of the curves over one swept field.

    Args:
        cells: The harness's table, one row per number; see `accuracy_points`.
        field: The field that models are swept over: `alpha`, `cutoff`, `modules`.
        attack: The attack that robust accuracy is read at.
        eps: Its budget as the table has it; the largest one when not given.
        references: Models without a sweep to keep as well; their `x` is empty.

    Returns:
        The columns of `accuracy_points`: `series` is the model without its value, `x` the value.

    Raises:
        ValueError: No model sweeps the field, none was attacked so, or a reference is not there.
    """
    good = good_cells(cells)
    named = {model: _split(model, field) for model in good["model"].unique()}
    kept = {model: place for model, place in named.items() if place[1]}
    if not kept:
        raise ValueError(f"no model sweeps {field!r}; models are {', '.join(named) or 'none'}")
    if absent := [model for model in references if model not in named]:
        raise ValueError(f"references: got {absent}; models are {', '.join(named)}")
    kept |= {model: (model, "") for model in references}
    points = accuracy_points(good[good["model"].isin(kept)], attack=attack, eps=eps)
    places = [kept[model] for model in points["series"]]
    return points.assign(series=[name for name, _ in places], x=[value for _, value in places])


def published_points(path: str | Path) -> pd.DataFrame:
    """Read a published sweep into the columns of `sweep_points`; it has no intervals.

    Args:
        path: A table with the columns `model, dataset, x, measure, value_percent`.
    """
    table = pd.read_csv(path, dtype={"x": str}, keep_default_na=False)
    table["x"] = [_unit(x) for x in table["x"]]
    return published(table.rename(columns={"model": "series"}).assign(attack="", eps=""))


def positions(values: Iterable[str]) -> dict[str, float]:
    """Return where each value of a sweep stands on its axis, from left to right.

    Numbers stand at themselves, and `none` one step after the largest; names of modules
    stand in the order in which an image meets them, one apart.
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
    """Split a model's name into its series and its value of a field, empty where it has none."""
    name, bracket, inside = model.partition("[")
    fields = re.split(r",(?=\w+=)", inside.removesuffix("]")) if bracket else []
    values = dict(text.split("=", 1) for text in fields if "=" in text)
    value = values.pop(field, "")
    others = ",".join(f"{key}={text}" for key, text in values.items())
    return (f"{name}[{others}]" if others else name), _unit(value)


def _unit(value: str) -> str:
    """Return the unit at which a range of modules ends or begins: `..B2` stands at B2."""
    return value.removeprefix("..").removesuffix("..")


def _depth(name: str) -> tuple[int, int, str]:
    if name in _ENDS:
        return _ENDS[name], 0, name
    block = re.match(r"B(\d+)(?:-(Attn|MLP))?", name)
    if block is None:
        return _ENDS["Head"] + 1, 0, name
    return int(block[1]), _PARTS[block[2] or ""], name

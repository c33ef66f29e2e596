"""Expands a model with `sweep` into one model per combination of the listed values."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from math import prod
from typing import Any

import yaml

KEY = "sweep"
_MOST = 10_000  # models


@dataclass(frozen=True, slots=True)
class Origin:
    """Where an expanded model is in the suite's file.

    Attributes:
        name: The model's name in the file.
        places: Index of the model's value in the list of each swept field.
        swept: All fields of the sweep, also those with invalid values.
    """

    name: str
    places: Mapping[str, int] = field(default_factory=dict)
    swept: frozenset[str] = frozenset()

    def path(self, keys: Sequence[str], *, value: bool = True) -> str:
        """Return the key path of a field in the file.

        Args:
            keys: Keys of the field within the model, outermost first.
            value: For a swept field, whether to return the path of the model's value in the list.
                Otherwise the path of the field.
        """
        if keys and keys[0] in self.places:
            place = f"[{self.places[keys[0]]}]" if value else ""
            keys = (KEY, keys[0] + place, *keys[1:])
        return ".".join(["models", self.name, *keys])


def expand_sweeps(models: Mapping[Any, Any]) -> Iterator[tuple[Any, Any, Origin]]:
    """Yield the name, the entry without `sweep`, and the origin of each expanded model.

    A sweep of too many models is left out.

    Several swept fields give all combinations of their values. The name of an expanded model
    contains its values: `R-Adapt[alpha=0.2,cutoff=none]`. An invalid sweep is left out here, and
    `sweep_faults` reports it.
    """
    for name, entry in models.items():
        if not isinstance(entry, dict) or KEY not in entry:
            yield name, entry, Origin(str(name))
            continue
        sweep = entry[KEY] if isinstance(entry[KEY], dict) else {}
        rest = {key: value for key, value in entry.items() if key != KEY}
        valid = {key: values for key, values in sweep.items() if _is_valid(values)}
        if not valid or _number_of_models(sweep) > _MOST:
            yield name, rest, Origin(str(name), swept=frozenset(map(str, sweep)))
            continue
        for places in product(*(range(len(values)) for values in valid.values())):
            place_by_field = dict(zip(map(str, valid), places, strict=True))
            chosen = {key: valid[key][place] for key, place in zip(valid, places, strict=True)}
            label = ",".join(f"{key}={_yaml_text(value)}" for key, value in chosen.items())
            origin = Origin(str(name), place_by_field, frozenset(map(str, sweep)))
            yield f"{name}[{label}]", {**rest, **chosen}, origin


def sweep_faults(models: Mapping[Any, Any]) -> Iterator[str]:
    """Yield the faults of the sweeps' form; their values are checked with the expanded models."""
    for name, entry in models.items():
        if not isinstance(entry, dict) or KEY not in entry:
            continue
        path, sweep = f"models.{name}.{KEY}", entry[KEY]
        if not isinstance(sweep, dict) or not sweep:
            yield f"{path}: got {sweep!r}; a mapping to lists is needed, e.g. {{alpha: [0, 1]}}"
            continue
        for key, values in sweep.items():
            if not _is_valid(values):
                yield f"{path}.{key}: got {values!r}; a list of at least one value is needed"
        if (number := _number_of_models(sweep)) > _MOST:
            yield f"{path}: makes {number:,} models; allowed: {_MOST:,}"


def _number_of_models(sweep: Mapping[Any, Any]) -> int:
    return prod(len(values) for values in sweep.values() if _is_valid(values))


def _is_valid(values: object) -> bool:
    return isinstance(values, list) and bool(values)


def _yaml_text(value: object) -> str:
    """Return a value as one line of YAML; null becomes `none`."""
    if value is None or isinstance(value, str):
        return "none" if value is None else value
    text: str = yaml.safe_dump(value, default_flow_style=True, width=10_000)
    return text.removesuffix("...\n").strip()

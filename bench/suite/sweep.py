"""A model with `sweep` stands for one model per combination of the values it lists."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Any

import yaml

KEY = "sweep"


@dataclass(frozen=True, slots=True)
class Origin:
    """Where an expanded model stands in the suite's file.

    Attributes:
        name: The model's name there.
        places: Per swept field, which of its values the expanded model has.
        swept: All fields that the sweep names, also those whose values are at fault.
    """

    name: str
    places: Mapping[str, int] = field(default_factory=dict)
    swept: frozenset[str] = frozenset()

    def path(self, keys: Sequence[str], *, value: bool = True) -> str:
        """Return the key path of the model's field `keys` (outermost first) in the file.

        Of a swept field that is the path of its value, or with `value=False` of the field.
        """
        if keys and keys[0] in self.places:
            place = f"[{self.places[keys[0]]}]" if value else ""
            keys = (KEY, keys[0] + place, *keys[1:])
        return ".".join(["models", self.name, *keys])


def expand_sweeps(models: Mapping[Any, Any]) -> Iterator[tuple[Any, Any, Origin]]:
    """Yield each model that the entries stand for: its name, its entry without sweep, its origin.

    A swept field takes each of its values in turn, several fields all combinations. A model
    made so is called after its values: `R-Adapt[alpha=0.2,cutoff=none]`. A sweep that is at
    fault is left out; `sweep_faults` tells of it.
    """
    for name, entry in models.items():
        if not isinstance(entry, dict) or KEY not in entry:
            yield name, entry, Origin(str(name))
            continue
        sweep = entry[KEY] if isinstance(entry[KEY], dict) else {}
        rest = {key: value for key, value in entry.items() if key != KEY}
        sound = {key: values for key, values in sweep.items() if _is_sound(values)}
        if not sound:
            yield name, rest, Origin(str(name), swept=frozenset(map(str, sweep)))
            continue
        for places in product(*(range(len(values)) for values in sound.values())):
            at = dict(zip(map(str, sound), places, strict=True))
            chosen = {key: sound[key][place] for key, place in zip(sound, places, strict=True)}
            label = ",".join(f"{key}={_written(value)}" for key, value in chosen.items())
            origin = Origin(str(name), at, frozenset(map(str, sweep)))
            yield f"{name}[{label}]", {**rest, **chosen}, origin


def sweep_faults(models: Mapping[Any, Any]) -> Iterator[str]:
    """Say what is wrong with the sweeps themselves; their values are checked as any other."""
    for name, entry in models.items():
        if not isinstance(entry, dict) or KEY not in entry:
            continue
        path, sweep = f"models.{name}.{KEY}", entry[KEY]
        if not isinstance(sweep, dict) or not sweep:
            yield f"{path}: got {sweep!r}; a map of fields to lists is needed, {{alpha: [0, 1]}}"
            continue
        for key, values in sweep.items():
            if not _is_sound(values):
                yield f"{path}.{key}: got {values!r}; a list of at least one value is needed"


def _is_sound(values: object) -> bool:
    return isinstance(values, list) and bool(values)


def _written(value: object) -> str:
    """Return a value as a suite would have it, on one line; null is called none."""
    if value is None or isinstance(value, str):
        return "none" if value is None else value
    text: str = yaml.safe_dump(value, default_flow_style=True, width=10_000)
    return text.removesuffix("...\n").strip()

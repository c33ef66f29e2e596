"""Checks of the names that a suite's entries refer to: undeclared, duplicate or reserved names.

They read the raw mapping, so that these faults are reported together with all others.
"""

from collections import Counter
from collections.abc import Iterator
from typing import Any

from bench.catalogue.model_facts import known_models
from bench.core.suggestions import listed
from bench.core.types import CLEAN, WORST
from bench.suite.specs import expand_dataset
from bench.suite.specs.external_attacks import DEFAULT_ATTACK, pyautoattack_label
from bench.suite.specs.model_names import expand_model, written_key
from bench.suite.specs.models import KINDS
from bench.suite.specs.protocol import size_faults
from bench.suite.specs.threats import source_faults
from bench.suite.sweep import Origin

# names that tables use for clean images, the worst case and the mean over datasets
_RESERVED = {"attacks": (CLEAN, WORST), "datasets": ("mean",)}


def reference_faults(raw: dict[str, Any], origins: dict[str, Origin]) -> Iterator[str]:
    """Yield the faults of names in a suite.

    Args:
        raw: The suite's mapping as read from YAML, with presets and sweeps expanded.
        origins: Where each expanded model is in the file, by its name.
    """
    models = raw.get("models")
    models = models if isinstance(models, dict) else {}
    for name, model in models.items():
        origin = origins[str(name)]
        for key, target in _references(model).items():
            if target not in models:
                path = origin.path(written_key(model, key).split("."))
                known = "; or add it to `models`" if target in known_models() else ""
                yield f"{path}: got {target!r}; declared models: {listed(target, models)}{known}"
        if name in _ancestors(name, models):
            yield f"{origin.path([])}: the model is built from itself; name another model"
    yield from source_faults(_entries(raw, "threats"), models)
    datasets = [_dataset_name(entry) for entry in _entries(raw, "datasets")]
    yield from size_faults(raw.get("protocol"), [name for name in datasets if name])
    yield from duplicates("datasets", datasets)
    attacks = [_attack_name(entry) for entry in _entries(raw, "attacks")]
    yield from duplicates("attacks", attacks)
    yield from _reserved("datasets", datasets)
    yield from _reserved("attacks", attacks)
    yield from duplicates("threats", [_threat_name(t) for t in _entries(raw, "threats")])
    if "threats" not in raw and not all(map(_is_external, _entries(raw, "attacks"))):
        yield "threats: missing; attacks need at least one of: white-box, {transfer: MODEL}"


def _entries(raw: dict[str, Any], key: str) -> list[Any]:
    value = raw.get(key)
    return value if isinstance(value, list) else []


def _references(model: Any) -> dict[str, str]:
    """Return the names of the models that an entry refers to, by key path within the entry."""
    entry = expand_model(model)
    kind = entry.get("kind") if isinstance(entry, dict) else None
    spec = KINDS.get(kind) if isinstance(kind, str) else None
    return spec.models_named_in(entry) if spec else {}


def _ancestors(name: object, models: dict[Any, Any]) -> set[str]:
    seen: set[str] = set()
    queue = list(_references(models.get(name)).values())
    while queue:
        current = queue.pop()
        if current not in seen:
            seen.add(current)
            queue += _references(models.get(current)).values()
    return seen


def _dataset_name(entry: Any) -> str | None:
    entry = expand_dataset(entry)
    name = entry.get("name") if isinstance(entry, dict) else None
    return name if isinstance(name, str) else None


def _attack_name(entry: Any) -> str | None:
    name = (entry.get("name") or entry.get("kind")) if isinstance(entry, dict) else None
    if name == "pyautoattack" and not entry.get("name"):
        name = pyautoattack_label(entry.get("attack", DEFAULT_ATTACK))
    suffix = "-l2" if isinstance(entry, dict) and entry.get("norm") == "l2" else ""
    return f"{name}{suffix}" if isinstance(name, str) else None


def _is_external(entry: Any) -> bool:
    return isinstance(entry, dict) and entry.get("kind") == "images"


def _threat_name(entry: Any) -> str:
    """Return an entry as text; a list with one source equals that source."""
    sources = entry.get("transfer") if isinstance(entry, dict) else None
    if isinstance(sources, list) and len(sources) == 1:
        return str({**entry, "transfer": sources[0]})
    return str(entry)


def duplicates(key: str, names: list[str | None]) -> Iterator[str]:
    """Yield a fault for each name that appears more than once under a key of the suite."""
    for name, count in Counter(name for name in names if name).items():
        if count > 1:
            hint = "; give each its own `name`" if key in ("datasets", "attacks") else ""
            yield f"{key}: {name!r} appears {count} times{hint}"


def _reserved(key: str, names: list[str | None]) -> Iterator[str]:
    for name in dict.fromkeys(names):
        if name in _RESERVED[key]:
            yield f"{key}: got {name!r}, which is reserved for tables; give it another `name`"

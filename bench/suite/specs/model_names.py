"""Short forms of a suite's models: names of the catalogue, R-Adapt over a model, and lists.

A list of models has these entries, each of which may also be a value of a mapping:

    models:
      - clip-l14                                                    # a name of the catalogue
      - Mine: {kind: open_clip, name: ViT-B-32, pretrained: ...}    # a name in tables and an entry
      - {radapt: clip-l14, anchor: {white: fare4-l14}, alpha: 1.0, cutoff: 40}
"""

from collections.abc import Iterator, Sequence
from typing import Any

from pydantic_core import PydanticCustomError

from bench.catalogue.model_facts import known_models
from bench.core.identifiers import shown
from bench.core.program import PROGRAM
from bench.core.suggestions import suggestion

_RADAPT = "radapt"  # `{radapt: BASE, ...}` is `{kind: radapt, base: BASE, ...}`


def expand_model(value: Any) -> Any:
    """Return the entry that a short form stands for; other values as they are."""
    if isinstance(value, str):
        facts = known_models().get(value)
        return dict(facts.model) if facts and facts.model else value
    if isinstance(value, dict) and _RADAPT in value:
        rest = {key: entry for key, entry in value.items() if key != _RADAPT}
        return {"kind": "radapt", "base": value[_RADAPT], **rest}
    return value


def written_key(value: Any, key: str) -> str:
    """Return the key that a short form has in the place of a key of its entry."""
    is_short = isinstance(value, dict) and _RADAPT in value
    return _RADAPT if is_short and key == "base" else key


def expand_known_model(value: Any) -> Any:
    """Expand a short form; raise a fault for a name that stands for no entry."""
    if isinstance(value, str):
        facts = known_models().get(value)
        if facts is None:
            raise PydanticCustomError(
                "model",
                f"allowed: a mapping with the key `kind`, or a name that `{PROGRAM} list models` "
                "prints{near}",
                {"near": suggestion(value, known_models())},
            )
        if facts.model is None:
            raise PydanticCustomError(
                "model", "it cannot be used here: {why}", {"why": facts.refused}
            )
    return expand_model(value)


def named_models(entries: Sequence[Any]) -> Iterator[tuple[str, Any, str]]:
    """Yield the name in tables, the entry, and the key path of each model of a list.

    An entry of another form is left out; `list_faults` reports it.
    """
    for place, item in enumerate(entries):
        if isinstance(item, str):
            yield item, item, str(place)
        elif isinstance(item, dict) and _RADAPT in item:
            yield f"{_RADAPT}-{item[_RADAPT]}", item, str(place)
        elif isinstance(item, dict) and len(item) == 1:
            name, entry = next(iter(item.items()))
            yield str(name), entry, f"{place}.{name}"


def list_faults(entries: Sequence[Any]) -> Iterator[str]:
    """Yield the faults of a list's form; the models themselves are checked when it is expanded."""
    for place, item in enumerate(entries):
        if not list(named_models([item])):
            yield (
                f"models.{place}: got {shown(item)}; allowed: a name of the catalogue, "
                "{NAME: ENTRY}, or {radapt: NAME, ...}"
            )

"""What a suite may say, as far as its specs tell: their kinds, settings, choices and defaults."""

import types
from collections.abc import Iterator
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel

from bench.suite.load import Suite


def specs_within(annotation: Any) -> Iterator[type[BaseModel]]:
    """Yield every spec that a field may hold, and those that its own fields may."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
        for field in annotation.model_fields.values():
            yield from specs_within(field.annotation)
        return
    for argument in get_args(annotation):
        yield from specs_within(argument)


def choices_within(annotation: Any) -> Iterator[Any]:
    """Yield the words that a field allows, where it allows only some."""
    origin = get_origin(annotation)
    if origin is Literal:
        yield from get_args(annotation)
    elif origin in (Annotated, Union, types.UnionType, tuple):
        for argument in get_args(annotation):
            yield from choices_within(argument)


def defaults() -> dict[str, dict[str, str]]:
    """Return the default of every setting, by where in a suite it is: `attacks.pgd`, `steps`.

    A default is in no id, so that one which moves changes numbers under ids that stay.
    """
    found = {}
    for key, entry in Suite.model_fields.items():
        for spec in dict.fromkeys(specs_within(entry.annotation)):
            fields = spec.model_fields
            found[f"{key}.{_name(spec)}"] = {
                name: repr(_plain(field.default))
                for name, field in fields.items()
                if not field.is_required()
            }
    return found


def _name(spec: type[BaseModel]) -> str:
    kind = spec.model_fields.get("kind")
    words = [] if kind is None else [*choices_within(kind.annotation)]
    return words[0] if len(words) == 1 else spec.__name__


def _plain(value: Any) -> Any:
    return value.model_dump() if isinstance(value, BaseModel) else value

"""Turns pydantic's errors into messages with key path, what was given and what is allowed."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from bench.core.identifiers import shown
from bench.core.suggestions import suggestion
from bench.suite.sweep import Origin

_LONG = 300  # characters; a longer value is shortened in a message
# beginnings of the keys that pydantic adds to the path of a fault
_VALIDATORS = ("function-", "tagged-union[", "literal[", "tuple[", "constrained-", "[key]")
# what is allowed, by pydantic's type of error; in braces, the bounds that the error states
ALLOWED = {
    **dict.fromkeys(("int_type", "int_parsing", "int_from_float"), "an integer"),
    "int_parsing_size": "an integer of at most 4,300 digits",
    **dict.fromkeys(("float_type", "float_parsing"), "a number"),
    "finite_number": "a finite number",
    **dict.fromkeys(("bool_type", "bool_parsing"), "true or false"),
    **dict.fromkeys(("string_type", "string_unicode"), "text"),
    "string_too_short": "text of at least {min_length} characters",
    "string_too_long": "text of at most {max_length} characters",
    **dict.fromkeys(("tuple_type", "list_type"), "a list"),
    **dict.fromkeys(("dict_type", "model_type", "model_attributes_type"), "a mapping"),
    "greater_than": "a number above {gt}",
    "greater_than_equal": "a number of at least {ge}",
    "less_than": "a number below {lt}",
    "less_than_equal": "a number of at most {le}",
    "too_long": "at most {max_length} entries",
    "literal_error": "{expected}",
    "none_required": "nothing",
    "recursion_loop": "a value that does not contain itself",
    "invalid-json-value": "text, a number, true, false, null, a list or a mapping",
}


def field_faults(
    error: ValidationError,
    suite: type[BaseModel],
    origins: Mapping[str, Origin],
    places: Sequence[int],
) -> Iterator[str]:
    """Yield a sentence per fault.

    Args:
        error: What pydantic found.
        suite: The class of suites, in whose fields the keys of the faults are.
        origins: Where each expanded model is in the file, by its name.
        places: Index of each expanded attack in the file.
    """
    # A union reports a fault per alternative; together they are one fault with one path.
    found: dict[str, list[ErrorDetails]] = {}
    for item in error.errors():
        if (path := _path(item, origins, places)) is not None:
            found.setdefault(path, []).append(item)
    for path, items in found.items():
        if all(item["type"] in ALLOWED for item in items):
            # a value of the right type with faults inside also fails the other alternatives
            if not any(other.startswith(f"{path}.") for other in found):
                allowed = " or ".join(dict.fromkeys(map(_allowed, items)))
                near = suggestion(items[0]["input"], [w for item in items for w in _words(item)])
                yield f"{path}: got {_got(items[0])}; allowed: {allowed}{near}"
        else:
            for item in items:
                yield from _fault(item, path, suite, origins)


def _fault(
    item: ErrorDetails, path: str, suite: type[BaseModel], origins: Mapping[str, Origin]
) -> Iterator[str]:
    """Yield what is wrong with one value, if no other fault tells it."""
    keys = _keys(item)
    origin = _origin(keys, origins)
    match item["type"]:
        case "extra_forbidden":
            named = origin.path(keys[2:], value=False) if origin else path
            yield f"{named}: unknown key{suggestion(keys[-1], keys_beside(suite, item['loc']))}"
        case "missing" if origin and keys[2] in origin.swept:
            pass  # the sweep's values are invalid, which `sweep_faults` reports
        case "missing":
            yield f"{path}: missing"
        case "union_tag_invalid":
            context = item["ctx"]
            near = suggestion(context["tag"], context["expected_tags"].strip("'").split("', '"))
            yield f"{path}.kind: got {context['tag']!r}; allowed: {context['expected_tags']}{near}"
        case "union_tag_not_found":
            yield f"{path}: the key `kind` is missing"
        case "too_short" if item["input"]:
            pass  # pydantic does not count invalid entries, whose faults are reported
        case "too_short":
            yield f"{path}: is empty; at least one entry is needed"
        case kind if kind in ALLOWED:
            yield f"{path}: got {_got(item)}; allowed: {_allowed(item)}"
        case _:
            yield f"{path}: got {_got(item)}; {item['msg']}"


def _path(item: ErrorDetails, origins: Mapping[str, Origin], places: Sequence[int]) -> str | None:
    """Return the key path in the file; None if the fault is reported elsewhere."""
    keys = _keys(item)
    if not keys:
        return "the file"
    if keys[0] == "attacks" and len(keys) > 1:
        if keys[2:3] == ["attacks"] and keys[4:5] in (["eps"], ["norm"]):
            return None  # the ensemble has the same fault, and it is reported there
        keys[1] = str(places[int(keys[1])])
    origin = _origin(keys, origins)
    return origin.path(keys[2:]) if origin else ".".join(keys)


def _origin(keys: Sequence[str], origins: Mapping[str, Origin]) -> Origin | None:
    """Return where the model of a fault is in the file; None for other faults."""
    return origins.get(keys[1]) if keys[0] == "models" and len(keys) > 1 else None


def _allowed(item: ErrorDetails) -> str:
    return ALLOWED[item["type"]].format(**item.get("ctx", {}))


def _words(item: ErrorDetails) -> list[str]:
    """Return the words that are allowed, where the fault names them."""
    if item["type"] != "literal_error":
        return []
    listed: str = item["ctx"]["expected"].replace(" or ", ", ")
    return [word.strip("'") for word in listed.split(", ")]


def _got(item: ErrorDetails) -> str:
    given = item["input"]
    text = repr(given)
    return shown(given) if len(text) > _LONG else text


def _keys(item: ErrorDetails) -> list[str]:
    """Return the keys of a fault as they are in the file."""
    # pydantic's path contains validators and the matched tag of a union
    keys = [str(key) for key in item["loc"] if not str(key).startswith(_VALIDATORS)]
    return list(_without_tags(keys))


def _without_tags(keys: list[str]) -> Iterator[str]:
    for index, key in enumerate(keys):
        is_tag = index == 2 and keys[0] in ("models", "datasets", "attacks")
        is_tag = is_tag or (index == 5 and keys[0] == keys[3] == "attacks")
        is_tag = is_tag or (index == 2 and keys[:2] == ["protocol", "judge"])
        is_branch = keys[0] == "protocol" and key in ("Pixels", "tuple")
        is_branch = is_branch or (keys[0] == "samples" and key in ("int", "SequentialSamples"))
        if not is_tag and not is_branch:
            yield key


def keys_beside(suite: type[BaseModel], path: Sequence[int | str]) -> set[str]:
    """Return the keys that are allowed where an unknown key was found.

    Args:
        suite: The class of suites.
        path: pydantic's path of the unknown key, in which the kind of an entry follows the entry.
    """
    classes = {suite}
    entry = False  # whether the next key is the name of an entry, not a field
    for key in path[:-1]:
        fields = [c.model_fields[str(key)] for c in classes if str(key) in c.model_fields]
        if isinstance(key, int) or entry or not fields:
            of_kind = {c for c in classes if key in _kinds(c)}
            classes, entry = (classes if entry else of_kind or classes), False
        else:
            annotations = [field.annotation for field in fields]
            classes = {c for annotation in annotations for c in _classes(annotation)}
            entry = any(get_origin(annotation) is dict for annotation in annotations)
    return {name for c in classes for name in c.model_fields}


def _classes(annotation: Any) -> Iterator[type[BaseModel]]:
    """Yield the classes of specs in a type, such as those of a union."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _classes(part)


def _kinds(spec: type[BaseModel]) -> tuple[Any, ...]:
    """Return the values of `kind` that stand for a class."""
    return get_args(spec.model_fields["kind"].annotation) if "kind" in spec.model_fields else ()

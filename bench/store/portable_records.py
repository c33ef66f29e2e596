"""Write a cell's result as a line of JSON for other people, and check lines from others.

`bench.core.types.CellResult` declares the fields.
"""

import re
from collections.abc import Callable, Mapping
from typing import Annotated, Any

import numpy as np
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StrictInt,
    StrictStr,
    StringConstraints,
    ValidationError,
    create_model,
    model_validator,
)
from pydantic_core import PydanticCustomError

from bench.core.identifiers import ID, shown
from bench.core.result_fields import Declared, Kind
from bench.core.terminal import legible
from bench.core.types import FIELDS, CellResult, Status
from bench.store.cell_records import from_digits, to_digits
from bench.store.consistency import is_empty, length_fault

_MAX_IMAGES = 1_000_000  # images of a cell
_MAX_COUNT = 2**63 - 1
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


class _Line(BaseModel):
    """The fields of `CellResult`, with booleans as digits.

    Texts may contain any characters; code that displays them must escape them.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    @model_validator(mode="after")
    def _check_lengths(self) -> "_Line":
        if fault := length_fault({name: getattr(self, name) for name in FIELDS}):
            raise PydanticCustomError("images", "{fault}", {"fault": fault})
        return self


def _type_of(field: Declared) -> Any:
    """Return the type of a field in a line."""
    # no control characters, since a terminal would obey them; a reason may have several lines
    lines = r"^[^\x00-\x08\x0b-\x1f\x7f-\x9f]*$"
    words = r"^[^\x00-\x1f\x7f-\x9f]*$"
    kinds: Mapping[Kind, Any] = {
        "id": Annotated[str, StringConstraints(pattern=f"^{ID}$")],
        "status": Status,
        "count": Annotated[int, Field(ge=0, le=_MAX_COUNT)],
        "seconds": Annotated[float, Field(ge=0, allow_inf_nan=False)],
        "facts": dict[str, StrictStr | Annotated[StrictInt, Field(ge=0, le=_MAX_COUNT)]],
        "reason": Annotated[str, StringConstraints(pattern=lines)] | None,
        "flags": tuple[Annotated[str, StringConstraints(pattern=words)], ...],
        "ids": Annotated[tuple[str, ...], Field(max_length=_MAX_IMAGES)],
        "booleans": Annotated[str, StringConstraints(pattern="^[01]*$", max_length=_MAX_IMAGES)],
        "floats": Annotated[
            tuple[Annotated[float, Field(ge=0, le=field.maximum, allow_inf_nan=False)], ...],
            Field(max_length=_MAX_IMAGES),
        ],
        "texts": Annotated[tuple[str, ...], Field(max_length=_MAX_IMAGES)],
    }
    kind = kinds[field.kind]
    return kind | None if field.optional else kind


_LINE = create_model(
    "Line",
    __base__=_Line,
    **{name: (_type_of(field), None if field.optional else ...) for name, field in FIELDS.items()},
)  # type: ignore[call-overload]


def result_line(result: CellResult) -> str:
    """Return a result as a line of JSON, with the newline.

    Control characters in its flags and its reason become U+FFFD.

    Raises:
        pydantic.ValidationError: The result has a value that is not allowed in a line.
    """
    line = _LINE.model_validate(_line_fields(result, _CLEANERS))
    optional = (name for name, field in FIELDS.items() if field.optional)
    absent = {name for name in optional if is_empty(getattr(line, name))}
    return f"{line.model_dump_json(exclude=absent)}\n"


def check_result(result: CellResult) -> None:
    """Check a result from a folder by the rules for lines.

    Raises:
        pydantic.ValidationError: A field has a wrong type or contradicts another field.
    """
    _LINE.model_validate(_line_fields(result, {}), strict=True)


def first_fault(error: ValidationError) -> str:
    """Return the message of the first fault, beginning with the name of the field."""
    first = error.errors()[0]
    got = f": got {shown(first['input'])}" if isinstance(first["input"], str) else ""
    place = ".".join(map(str, first["loc"]))
    return f"{place}{got}: {first['msg']}" if place else first["msg"]


def read_result(line: bytes) -> CellResult:
    """Return the result in a line.

    Raises:
        pydantic.ValidationError: The line is not a valid result.
    """
    found = _LINE.model_validate_json(line)
    values: dict[str, Any] = {}
    for name in found.model_fields_set:
        if (value := getattr(found, name)) is not None or not FIELDS[name].optional:
            values[name] = _FROM_LINE.get(FIELDS[name].kind, _identity)(value)
    return CellResult(**values)


def _line_fields(
    result: CellResult, clean: Mapping[Kind, Callable[[Any], object]]
) -> dict[str, object]:
    found = {}
    for name, field in FIELDS.items():
        value = getattr(result, name)
        if value is not None:
            value = clean.get(field.kind, _identity)(value)
            value = _TO_LINE.get(field.kind, _identity_of_field)(value, field)
        found[name] = value
    return found


def _identity(value: object) -> object:
    return value


def _identity_of_field(value: object, field: Declared) -> object:
    return value


def _to_numbers(values: Any, field: Declared) -> tuple[float, ...]:
    """Return floats with the declared decimals, or with the fewest exact digits of float32."""
    if field.decimals is None:
        return tuple(float(str(value)) for value in values)  # 0.3 stays 0.3
    return tuple(round(float(value), field.decimals) for value in values)


_CLEANERS: Mapping[Kind, Callable[[Any], object]] = {
    "flags": lambda flags: tuple(_CONTROL.sub("\ufffd", legible(flag)) for flag in flags),
    "reason": legible,
}
_TO_LINE: Mapping[Kind, Callable[[Any, Declared], object]] = {
    "booleans": lambda values, _: to_digits(values),
    "floats": _to_numbers,
}
_FROM_LINE: Mapping[Kind, Callable[[Any], object]] = {
    "booleans": from_digits,
    "floats": lambda values: np.array(values, dtype=np.float32),
}

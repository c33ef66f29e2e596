"""A cell's result as a line of JSON that others may read, and such a line checked.

Which fields there are, and what each holds, is declared in `bench.core.types.CellResult`.
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
from bench.store.cell_records import booleans, digits

_MOST = 1_000_000  # images of a cell
_COUNT = 2**63 - 1
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


class _Line(BaseModel):
    """The fields of `CellResult`, with booleans as digits.

    A text may hold anything: whoever shows it makes it harmless there.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    @model_validator(mode="after")
    def _of_one_length(self) -> "_Line":
        values = {name: getattr(self, name) for name in FIELDS}
        ids, correct = values["sample_ids"], values["correct"]
        if len(set(ids)) < len(ids):
            raise PydanticCustomError("images", "sample_ids: each image needs an id of its own")
        if (values["status"] == "ok") != bool(correct):
            raise PydanticCustomError("images", "there are outcomes if and only if it is ok")
        for name, field in FIELDS.items():
            if not field.per_image or (field.optional and not values[name]):
                continue
            if len(values[name]) != len(ids):
                raise PydanticCustomError(
                    "images",
                    "{name}: got {count} values for {images} images; allowed: one for each image",
                    {"name": name, "count": len(values[name]), "images": len(ids)},
                )
        return self


def _type_of(field: Declared) -> Any:
    """Return the type that a field must have in a line."""
    # control characters are left out, which a terminal would obey; a reason may have several lines
    lines = r"^[^\x00-\x08\x0b-\x1f\x7f-\x9f]*$"
    words = r"^[^\x00-\x1f\x7f-\x9f]*$"
    kinds: Mapping[Kind, Any] = {
        "id": Annotated[str, StringConstraints(pattern=f"^{ID}$")],
        "status": Status,
        "count": Annotated[int, Field(ge=0, le=_COUNT)],
        "seconds": Annotated[float, Field(ge=0, allow_inf_nan=False)],
        "facts": dict[str, StrictStr | Annotated[StrictInt, Field(ge=0, le=_COUNT)]],
        "reason": Annotated[str, StringConstraints(pattern=lines)] | None,
        "flags": tuple[Annotated[str, StringConstraints(pattern=words)], ...],
        "ids": Annotated[tuple[str, ...], Field(max_length=_MOST)],
        "booleans": Annotated[str, StringConstraints(pattern="^[01]*$", max_length=_MOST)],
        "floats": Annotated[
            tuple[Annotated[float, Field(ge=0, le=field.maximum, allow_inf_nan=False)], ...],
            Field(max_length=_MOST),
        ],
        "texts": Annotated[tuple[str, ...], Field(max_length=_MOST)],
    }
    kind = kinds[field.kind]
    return kind | None if field.optional else kind


_LINE = create_model(
    "Line",
    __base__=_Line,
    **{name: (_type_of(field), None if field.optional else ...) for name, field in FIELDS.items()},
)  # type: ignore[call-overload]


def result_line(result: CellResult) -> str:
    """Return a result as one line, its end included.

    Control characters in its flags and its reason become U+FFFD.

    Raises:
        pydantic.ValidationError: The result has a value that no line may have.
    """
    line = _LINE.model_validate(_fields(result, _HARMLESS))
    absent = {name for name, field in FIELDS.items() if field.optional and not getattr(line, name)}
    return f"{line.model_dump_json(exclude=absent)}\n"


def check_result(result: CellResult) -> None:
    """Ask of a result that was not read from a line all that is asked of a line.

    Raises:
        pydantic.ValidationError: A field is of another type, or does not fit the others.
    """
    _LINE.model_validate(_fields(result, {}), strict=True)


def fault_of(error: ValidationError) -> str:
    """Say what is wrong with a result first, beginning with its field."""
    first = error.errors()[0]
    got = f": got {shown(first['input'])}" if isinstance(first["input"], str) else ""
    place = ".".join(map(str, first["loc"]))
    return f"{place}{got}: {first['msg']}" if place else first["msg"]


def read_result(line: bytes) -> CellResult:
    """Return the result of a line.

    Raises:
        pydantic.ValidationError: It is none.
    """
    found = _LINE.model_validate_json(line)
    values: dict[str, Any] = {}
    for name in found.model_fields_set:
        if (value := getattr(found, name)) is not None or not FIELDS[name].optional:
            values[name] = _FROM_LINE.get(FIELDS[name].kind, _same)(value)
    return CellResult(**values)


def _fields(
    result: CellResult, harmless: Mapping[Kind, Callable[[Any], object]]
) -> dict[str, object]:
    found = {}
    for name, field in FIELDS.items():
        value = getattr(result, name)
        if value is not None:
            value = harmless.get(field.kind, _same)(value)
            value = _TO_LINE.get(field.kind, _unchanged)(value, field)
        found[name] = value
    return found


def _same(value: object) -> object:
    return value


def _unchanged(value: object, field: Declared) -> object:
    return value


def _numbers(values: Any, field: Declared) -> tuple[float, ...]:
    """Return floats with the declared decimals, or the fewest digits that float32 needs."""
    if field.decimals is None:
        return tuple(float(str(value)) for value in values)  # 0.3 stays 0.3
    return tuple(round(float(value), field.decimals) for value in values)


_HARMLESS: Mapping[Kind, Callable[[Any], object]] = {
    "flags": lambda flags: tuple(_CONTROL.sub("\ufffd", legible(flag)) for flag in flags),
    "reason": legible,
}
_TO_LINE: Mapping[Kind, Callable[[Any, Declared], object]] = {
    "booleans": lambda values, _: digits(values),
    "floats": _numbers,
}
_FROM_LINE: Mapping[Kind, Callable[[Any], object]] = {
    "booleans": booleans,
    "floats": lambda values: np.array(values, dtype=np.float32),
}

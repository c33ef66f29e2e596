"""A cell's result as a line of JSON that others may read, and such a line checked."""

from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    model_validator,
)
from pydantic_core import PydanticCustomError

from bench.core.identifiers import ID, shown
from bench.core.types import CellResult, Status

_Id = Annotated[str, StringConstraints(pattern=f"^{ID}$")]
_Digits = Annotated[str, StringConstraints(pattern=r"^[01]*$")]
_MOST = 1_000_000  # images of a cell
_BEST = 10.0  # highest score of any metric
_Distance = Annotated[float, Field(ge=0, le=1e6, allow_inf_nan=False)]
_Score = Annotated[float, Field(ge=0, le=_BEST, allow_inf_nan=False)]
# no control characters, which a terminal would obey; a reason may have lines
_CONTROL = r"\x00-\x08\x0b-\x1f\x7f-\x9f"
_Flag = Annotated[str, StringConstraints(pattern=r"^[^\x00-\x1f\x7f-\x9f]*$")]
_Reason = Annotated[str, StringConstraints(pattern=rf"^[^{_CONTROL}]*$")]


class Outcome(BaseModel):
    """The fields of `CellResult`, with an image's outcome as a digit.

    A text may hold anything: whoever shows it makes it harmless there.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    cell_id: _Id
    status: Status
    correct: _Digits
    sample_ids: Annotated[tuple[str, ...], Field(max_length=_MOST)]
    distance: Annotated[tuple[_Distance, ...], Field(max_length=_MOST)]
    seconds: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    queries: Annotated[int, Field(ge=0, le=2**63 - 1)]
    provenance: dict[str, str]
    reason: _Reason | None
    flags: tuple[_Flag, ...]
    scores: Annotated[tuple[_Score, ...], Field(max_length=_MOST)] | None = None
    texts: Annotated[tuple[str, ...], Field(max_length=_MOST)] = ()
    reached: _Digits | None = None

    @model_validator(mode="after")
    def _of_one_length(self) -> "Outcome":
        lengths = {len(self.correct), len(self.sample_ids), len(self.distance)}
        if len(lengths) > 1 or len(set(self.sample_ids)) < len(self.sample_ids):
            raise PydanticCustomError("images", "each image needs one id, outcome and distance")
        if (self.status == "ok") != bool(self.correct):
            raise PydanticCustomError("images", "there are outcomes if and only if it is ok")
        if self.scores is not None and len(self.scores) != len(self.correct):
            raise PydanticCustomError("images", "each image needs one score, or none has any")
        if self.texts and len(self.texts) != len(self.correct):
            raise PydanticCustomError("images", "each image needs one text, or none has any")
        if self.reached is not None and len(self.reached) != len(self.correct):
            raise PydanticCustomError("images", "each image has reached or not, or none has")
        return self


def result_line(result: CellResult) -> str:
    """Return a result as one line, its end included."""
    outcome = Outcome.model_validate(_fields(result))
    absent = {name for name in ("scores", "texts", "reached") if not getattr(outcome, name)}
    return f"{outcome.model_dump_json(exclude=absent)}\n"


def check_result(result: CellResult) -> None:
    """Ask of a result that was not read from a line all that is asked of a line.

    Raises:
        pydantic.ValidationError: A field is of another type, or does not fit the others.
    """
    Outcome.model_validate(_fields(result), strict=True)


def fault_of(error: ValidationError) -> str:
    """Say what is wrong with a result first, beginning with its field."""
    first = error.errors()[0]
    got = f": got {shown(first['input'])}" if isinstance(first["input"], str) else ""
    return f"{'.'.join(map(str, first['loc']))}{got}: {first['msg']}"


def read_result(line: bytes) -> CellResult:
    """Return the result of a line.

    Raises:
        pydantic.ValidationError: It is none.
    """
    outcome = Outcome.model_validate_json(line)
    return CellResult(
        cell_id=outcome.cell_id,
        status=outcome.status,
        correct=_booleans(outcome.correct),
        sample_ids=outcome.sample_ids,
        distance=np.array(outcome.distance, dtype=np.float32),
        seconds=outcome.seconds,
        queries=outcome.queries,
        provenance=outcome.provenance,
        reason=outcome.reason,
        flags=outcome.flags,
        scores=None if outcome.scores is None else np.array(outcome.scores, dtype=np.float32),
        texts=outcome.texts,
        reached=None if outcome.reached is None else _booleans(outcome.reached),
    )


def _fields(result: CellResult) -> dict[str, object]:
    return {
        "cell_id": result.cell_id,
        "status": result.status,
        "correct": _digits(result.correct),
        "sample_ids": result.sample_ids,
        "distance": tuple(round(float(value), 8) for value in result.distance),
        "seconds": result.seconds,
        "queries": result.queries,
        "provenance": result.provenance,
        "reason": result.reason,
        "flags": result.flags,
        "scores": None if result.scores is None else tuple(map(_shortest, result.scores)),
        "texts": result.texts,
        "reached": None if result.reached is None else _digits(result.reached),
    }


def _digits(flags: NDArray[np.bool_]) -> str:
    return "".join("1" if flag else "0" for flag in flags)


def _booleans(digits: str) -> NDArray[np.bool_]:
    return np.array([digit == "1" for digit in digits], dtype=np.bool_)


def _shortest(score: np.float32) -> float:
    """Return the number with the fewest digits that is the same in float32: 0.3 stays 0.3."""
    return float(str(score))

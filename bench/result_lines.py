"""A cell's result as a line of JSON that others may read, and such a line checked."""

from typing import Annotated

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from bench.types import CellResult, Status

_Id = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{20}$")]
_Distance = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Outcome(BaseModel):
    """The fields of `CellResult`, with an image's outcome as a digit."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    cell_id: _Id
    status: Status
    correct: Annotated[str, StringConstraints(pattern=r"^[01]*$")]
    sample_ids: tuple[str, ...]
    distance: tuple[_Distance, ...]
    seconds: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    queries: Annotated[int, Field(ge=0)]
    provenance: dict[str, str]
    reason: str | None
    flags: tuple[str, ...]

    @model_validator(mode="after")
    def _of_one_length(self) -> "Outcome":
        lengths = {len(self.correct), len(self.sample_ids), len(self.distance)}
        if len(lengths) > 1 or len(set(self.sample_ids)) < len(self.sample_ids):
            raise PydanticCustomError("images", "each image needs one id, outcome and distance")
        if (self.status == "ok") != bool(self.correct):
            raise PydanticCustomError("images", "there are outcomes if and only if it is ok")
        return self


def result_line(result: CellResult) -> str:
    """Return a result as one line, its end included."""
    outcome = Outcome(
        cell_id=result.cell_id,
        status=result.status,
        correct="".join("1" if flag else "0" for flag in result.correct),
        sample_ids=result.sample_ids,
        distance=tuple(round(float(value), 8) for value in result.distance),
        seconds=result.seconds,
        queries=result.queries,
        provenance=dict(result.provenance),
        reason=result.reason,
        flags=result.flags,
    )
    return f"{outcome.model_dump_json()}\n"


def read_result(line: bytes) -> CellResult:
    """Return the result of a line.

    Raises:
        pydantic.ValidationError: It is none.
    """
    outcome = Outcome.model_validate_json(line)
    return CellResult(
        cell_id=outcome.cell_id,
        status=outcome.status,
        correct=np.array([flag == "1" for flag in outcome.correct], dtype=np.bool_),
        sample_ids=outcome.sample_ids,
        distance=np.array(outcome.distance, dtype=np.float32),
        seconds=outcome.seconds,
        queries=outcome.queries,
        provenance=outcome.provenance,
        reason=outcome.reason,
        flags=outcome.flags,
    )

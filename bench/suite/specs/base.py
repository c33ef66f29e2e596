"""What all specs share."""

from collections.abc import Callable
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, StringConstraints
from pydantic_core import PydanticCustomError

from bench.core.identifiers import inside_fault, is_repository, place_fault

Name = Annotated[
    str, StringConstraints(min_length=1, max_length=80, pattern=r"^[^\x00-\x1f\x7f-\x9f]+$")
]


def _without(fault: Callable[[str], str | None]) -> AfterValidator:
    """Return a validator that refuses a text of which a function says that something is wrong."""

    def check(text: str) -> str:
        if why := fault(text):
            raise PydanticCustomError("path", "it {why}", {"why": why})
        return text

    return AfterValidator(check)


def _repository_fault(text: str) -> str | None:
    return None if is_repository(text) else "must be a repository of the hub: OWNER/NAME"


Place = Annotated[str, _without(place_fault)]  # a path of the user's own, anywhere
Inside = Annotated[str, _without(inside_fault)]  # a path within a folder or repository; a revision
Repository = Annotated[str, _without(_repository_fault)]


class Spec(BaseModel):
    """Base of all specs."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=False)


def many(value: Any) -> Any:
    """Let one value stand for a list of one."""
    return value if isinstance(value, list | tuple) else [value]

"""What all specs share."""

from collections.abc import Callable, Iterator
from typing import Annotated, Any, ClassVar

from pydantic import AfterValidator, BaseModel, ConfigDict, StringConstraints
from pydantic_core import PydanticCustomError

from bench.core.identifiers import is_repository, path_fault, relative_path_fault

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


Place = Annotated[str, _without(path_fault)]  # a path of the user's own, anywhere
# a path within a folder or repository; a revision
Inside = Annotated[str, _without(relative_path_fault)]
Repository = Annotated[str, _without(_repository_fault)]


class Spec(BaseModel):
    """Base of all specs."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=False)


class Dataset(Spec):
    """Base of all kinds of datasets: what is true of a kind unless it says otherwise.

    Attributes:
        brings_texts: Whether class names and prompts lie beside the images, in the layout of
            CLIP_benchmark, so that they may differ from the catalogue's.
    """

    brings_texts: ClassVar[bool] = False

    @property
    def deviation(self) -> str:
        """How its images differ from those that papers call by its name; empty where they do not.

        It follows "as published," in the reason why two numbers cannot be compared.
        """
        return ""

    def remarks(self) -> Iterator[str]:
        """Yield what a reader should know of the chosen images before a run."""
        yield from ()


def many(value: Any) -> Any:
    """Let one value stand for a list of one."""
    return value if isinstance(value, list | tuple) else [value]

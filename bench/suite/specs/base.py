"""Base classes and types that all specs use."""

import re
from collections.abc import Callable, Iterator
from typing import Annotated, Any, ClassVar

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationInfo
from pydantic_core import PydanticCustomError

from bench.core.identifiers import is_repository, path_fault, relative_path_fault
from bench.core.suite_paths import SuitePath


def matching(pattern: str, allowed: str) -> AfterValidator:
    """Return a validator that refuses a text which a pattern does not match as a whole.

    Args:
        pattern: A regular expression.
        allowed: What the pattern allows, for the message.
    """

    def check(text: str) -> str:
        if not re.fullmatch(pattern, text):
            raise PydanticCustomError("text", "allowed: {allowed}", {"allowed": allowed})
        return text

    return AfterValidator(check)


def _refuse(fault: Callable[[str], str | None]) -> AfterValidator:
    """Return a validator that refuses a text if `fault` returns a reason."""

    def check(text: str) -> str:
        if why := fault(text):
            raise PydanticCustomError("path", "it {why}", {"why": why})
        return text

    return AfterValidator(check)


def _in_suite(text: str, info: ValidationInfo) -> str:
    """Keep the folder of the suite's file with a text, if there is a file."""
    folder = (info.context or {}).get("folder")
    return text if folder is None else SuitePath.of(text, folder)


IN_SUITE = AfterValidator(_in_suite)


def _repository_fault(text: str) -> str | None:
    return None if is_repository(text) else "must be a repository of the hub: OWNER/NAME"


Name = Annotated[  # a display name
    str, matching(r"[^\x00-\x1f\x7f-\x9f]{1,80}", "1 to 80 characters, no control characters")
]
# Any path on the user's machine: `bench.core.suite_paths.find_path` finds it.
UserPath = Annotated[str, _refuse(path_fault), IN_SUITE]
# A path inside a folder or repository, or a revision.
RelativePath = Annotated[str, _refuse(relative_path_fault)]
Repository = Annotated[str, _refuse(_repository_fault)]


class Spec(BaseModel):
    """Base class of all specs: frozen, and unknown keys are refused."""

    # deferred: validators are built once, for the whole suite, and not for each class at import
    model_config = ConfigDict(frozen=True, extra="forbid", strict=False, defer_build=True)


class Dataset(Spec):
    """Base class of all kinds of datasets, with the defaults that a kind may override.

    Attributes:
        has_own_class_names: Whether the dataset's files have class names (and in
            CLIP_benchmark's layout prompts), which may differ from the catalogue's.
    """

    has_own_class_names: ClassVar[bool] = False

    @property
    def deviation(self) -> str:
        """How the images differ from the published dataset of the same name; empty if they do not.

        The text follows "as published," in the reason why two numbers cannot be compared.
        """
        return ""

    def remarks(self) -> Iterator[str]:
        """Yield warnings about the sampled images that a reader should see before a run."""
        yield from ()


def as_list(value: Any) -> Any:
    """Return a list or tuple as it is, and any other value as a list with one entry."""
    return value if isinstance(value, list | tuple) else [value]

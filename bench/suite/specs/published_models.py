"""Models with published checkpoints: of open_clip and of transformers."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

from pydantic import model_validator
from pydantic_core import PydanticCustomError

from bench.catalogue.repository_layouts import CHAT, CLIP, OPEN_CLIP
from bench.core.identifiers import is_repository
from bench.suite.specs.base import Name, RelativePath, UserPath
from bench.suite.specs.model_base import (
    FloatType,
    LocalFile,
    Model,
    OpenClipTag,
    RepositoryFiles,
    WeightSource,
)

HUB, FOLDER = "hf-hub:", "local-dir:"


class OpenClipModel(Model):
    """A model of open_clip: by name and pretrained tag, `hf-hub:` name, or local checkpoint.

    `local-dir:` names a folder in the layout of such a hub repository. `revision` is a branch,
    a tag or a commit of an `hf-hub:` name. `tower` is a checkpoint of the vision tower alone, as
    RobustVLM, TeCoA and TGA-ZSR publish them.
    """

    not_identifying: ClassVar = frozenset({"tower", "pretrained", "revision"})
    layout: ClassVar = OPEN_CLIP

    kind: Literal["open_clip"]
    name: UserPath
    pretrained: UserPath | None = None
    tower: UserPath | None = None
    revision: RelativePath | None = None

    @property
    def repository(self) -> str | None:
        """The repository of the hub that the name stands for, `owner/name`."""
        return self.name.removeprefix(HUB) if self.name.startswith(HUB) else None

    @property
    def folder(self) -> str | None:
        """The local folder that the name stands for."""
        return self.name.removeprefix(FOLDER) if self.name.startswith(FOLDER) else None

    @property
    def config_name(self) -> str:
        """By which name or repository open_clip may know its configuration."""
        return self.repository or self.name

    def weight_sources(self) -> tuple[WeightSource, ...]:
        """Return the source of the whole CLIP, then the file of its tower."""
        tower = (LocalFile(Path(self.tower)),) if self.tower else ()
        if self.pretrained is None:
            folder = None if self.folder is None else Path(self.folder)
            repository = self.repository or ""
            whole: WeightSource = RepositoryFiles(
                self.name, OPEN_CLIP, folder, repository, self.revision
            )
        elif Path(self.pretrained).exists():
            whole = LocalFile(Path(self.pretrained))
        else:
            whole = OpenClipTag(self.name, self.pretrained)
        return whole, *tower

    def identity(self, fingerprint: str, of: Callable[[str], dict[str, Any]]) -> dict[str, Any]:
        """Return what its answer depends on, without names and paths."""
        found = super().identity(fingerprint, of)
        if self.pretrained is None:  # the architecture is in the configuration, which is hashed
            del found["name"]
        return found

    def description(self, of: Callable[[str], str]) -> str:
        """Return where its weights come from, `ViT-L-14-quickgelu openai`."""
        tower = Path(self.tower).name if self.tower else None
        parts = (self.name.removeprefix(HUB), self.pretrained, tower)
        return " ".join(part for part in parts if part)

    @model_validator(mode="after")
    def _has_weights(self) -> Self:
        itself = self.name.startswith((HUB, FOLDER))
        if self.pretrained is None and not itself:
            raise PydanticCustomError(
                "weights", "`pretrained` is needed: a tag or a file; only hf-hub: names imply one"
            )
        if self.pretrained is not None and itself:
            raise PydanticCustomError(
                "weights", "a name with hf-hub: or local-dir: has its own weights; no `pretrained`"
            )
        if self.repository is not None and not is_repository(self.repository):
            raise PydanticCustomError("name", "a name on the hub is hf-hub:OWNER/NAME")
        if self.revision is not None and self.repository is None:
            raise PydanticCustomError("revision", "only hf-hub: names have a `revision`")
        return self

    @model_validator(mode="after")
    def _has_quick_gelu(self) -> Self:
        # Other tags are checked when weights are resolved: open_clip knows them, and brings torch.
        # open_clip before 2.29 built QuickGELU for OpenAI's weights under the plain name.
        if self.pretrained == "openai" and not self.name.endswith("-quickgelu"):
            raise PydanticCustomError(
                "activation",
                "OpenAI's weights were trained with QuickGELU, which {name} lacks in today's "
                "open_clip; allowed: {name}-quickgelu",
                {"name": self.name},
            )
        return self


class HuggingFaceModel(Model):
    """A CLIP or SigLIP of transformers: a hub's name, or a local folder in a hub's layout.

    `revision` is a branch, a tag or a commit. SigLIP's logit bias is left out: the same number
    on all classes changes no prediction and no loss of an attack.
    """

    not_identifying: ClassVar = frozenset({"name", "revision"})
    libraries: ClassVar = ("transformers",)
    layout: ClassVar = CLIP

    kind: Literal["hugging_face"]
    name: UserPath
    revision: RelativePath | None = None

    def weight_sources(self) -> tuple[WeightSource, ...]:
        """Return the repository or folder."""
        folder = _folder(self.name)
        repository = "" if folder else self.name
        return (RepositoryFiles(self.name, CLIP, folder, repository, self.revision),)

    def description(self, of: Callable[[str], str]) -> str:
        """Return the name of the repository or folder."""
        return self.name


class LvlmModel(Model):
    """A vision-language model of transformers that answers in words, as LLaVA does.

    Attributes:
        name: A hub's name, a local folder in a hub's layout, or the latter after `local-dir:`.
        revision: A branch, a tag or a commit of the hub.
        precision: Of weights and computation; numbers depend on it.
        checkpointing: Whether the backward pass computes blocks anew, for less memory.
        tower: A declared model whose vision tower takes the place of its own.
    """

    model_keys: ClassVar = ("tower",)
    libraries: ClassVar = ("transformers",)
    layout: ClassVar = CHAT

    kind: Literal["lvlm"]
    name: UserPath
    revision: RelativePath | None = None
    precision: FloatType = "bf16"
    checkpointing: bool = False
    tower: Name | None = None

    @property
    def answers_in_words(self) -> bool:
        """Whether it answers questions in words: it does."""
        return True

    @property
    def compute_dtype(self) -> FloatType:
        """The type of its numbers while it is judged."""
        return self.precision

    @property
    def config_name(self) -> str:
        """By which name the catalogue may know its configuration."""
        return self.name

    def weight_sources(self) -> tuple[WeightSource, ...]:
        """Return the repository or folder."""
        local = self.name.startswith(FOLDER)
        folder = Path(self.name.removeprefix(FOLDER)) if local else _folder(self.name)
        repository = "" if folder else self.name
        return (RepositoryFiles(self.name, CHAT, folder, repository, self.revision),)

    def identity(self, fingerprint: str, of: Callable[[str], dict[str, Any]]) -> dict[str, Any]:
        """Return what its answer depends on; `checkpointing` changes no number."""
        tower = {"tower": of(self.tower)} if self.tower else {}
        return {"lvlm": self.precision, "fingerprint": fingerprint, **tower}

    def description(self, of: Callable[[str], str]) -> str:
        """Return the name of the repository or folder, and whose tower it has."""
        tower = f" with the tower of {of(self.tower)}" if self.tower else ""
        return f"{self.name}{tower}"


def _folder(name: str) -> Path | None:
    """Return the folder that a name stands for, there or not; None for a name of the hub."""
    place = Path(name)
    return place if place.is_dir() or not is_repository(name) else None

"""Specs of models of open_clip and transformers."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from bench.catalogue.model_facts import download_advice
from bench.catalogue.repository_layouts import (
    CHAT,
    CLIP,
    CLIP_PROCESSOR,
    CLIP_WEIGHTS,
    OPEN_CLIP,
    RepositoryLayout,
)
from bench.core.identifiers import is_repository, relative_path_fault
from bench.suite.specs.base import Name, RelativePath, Spec, UserPath
from bench.suite.specs.model_base import (
    FloatType,
    HubCheckpoint,
    LocalFile,
    Model,
    OpenClipFile,
    OpenClipTag,
    RepositoryFiles,
    WeightSource,
    local_folder,
)

HUB, FOLDER = "hf-hub:", "local-dir:"


Finite = Annotated[float, Field(allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class Normalisation(Spec):
    """The normalisation of images in [0,1]: (image - mean) / std, per channel.

    Attributes:
        mean: Mean of red, green and blue.
        std: Standard deviation of red, green and blue.
    """

    mean: tuple[Finite, Finite, Finite]
    std: tuple[Positive, Positive, Positive]


class OpenClipModel(Model):
    """A model of open_clip: by name and pretrained tag, `hf-hub:` name, or local checkpoint.

    Attributes:
        name: Name of an architecture, `hf-hub:OWNER/NAME` for a repository of the hub, or
            `local-dir:PATH` for a folder in the layout of such a repository.
        pretrained: A pretrained tag or a checkpoint file, for a name of an architecture.
        tower: A checkpoint of the vision tower only, as RobustVLM, TeCoA and TGA-ZSR publish: a
            local file, or `hf-hub:OWNER/NAME/FILE` for a file of a repository of the hub.
        revision: A branch, a tag or a commit of a repository of the hub.
        preprocess: Normalisation of images, in place of a tag's; None for the tag's, or CLIP's for
            a file.
        activation: Activation function of the model; None for that of its configuration.
    """

    not_identifying: ClassVar = frozenset({"tower", "pretrained", "revision"})
    newer: ClassVar = frozenset({"preprocess", "activation"})
    layout: ClassVar = OPEN_CLIP

    kind: Literal["open_clip"]
    name: UserPath
    pretrained: UserPath | None = None
    tower: UserPath | None = None
    revision: RelativePath | None = None
    preprocess: Normalisation | None = None
    activation: Literal["gelu", "quick_gelu"] | None = None

    @property
    def repository(self) -> str | None:
        """The repository of the hub that `name` refers to, `owner/name`, or None."""
        return self.name.removeprefix(HUB) if self.name.startswith(HUB) else None

    @property
    def folder(self) -> str | None:
        """The local folder that `name` refers to, or None."""
        return self.name.removeprefix(FOLDER) if self.name.startswith(FOLDER) else None

    @property
    def config_name(self) -> str:
        """Name or repository of the configuration in open_clip."""
        return self.repository or self.name

    def weight_sources(self) -> tuple[WeightSource, ...]:
        """Return the source of the whole CLIP, then the file of the vision tower."""
        tower = (_tower_source(self.tower),) if self.tower else ()
        if self.pretrained is None:
            folder = None if self.folder is None else Path(self.folder)
            repository = self.repository or ""
            whole: WeightSource = RepositoryFiles(
                self.name, OPEN_CLIP, folder, repository, self.revision
            )
        elif Path(self.pretrained).is_file():  # a folder may have the name of a tag
            whole = OpenClipFile(
                Path(self.pretrained),
                model=self.name,
                preprocess=self.preprocess is not None,
                activation=self.activation is not None,
            )
        else:
            whole = OpenClipTag(self.name, self.pretrained)
        return whole, *tower

    def identity(self, fingerprint: str, of: Callable[[str], dict[str, Any]]) -> dict[str, Any]:
        """Return the settings that change the model's output, without names and paths."""
        settings = super().identity(fingerprint, of)
        if self.pretrained is None:  # the configuration file, which is hashed, has the architecture
            del settings["name"]
        return settings

    def description(self, of: Callable[[str], str]) -> str:
        """Return the origin of the weights: `ViT-L-14-quickgelu openai`."""
        tower = Path(self.tower).name if self.tower else None
        parts = (self.name.removeprefix(HUB), self.pretrained, tower)
        return " ".join(part for part in parts if part)

    @model_validator(mode="after")
    def _has_weights(self) -> Self:
        has_weights = self.name.startswith((HUB, FOLDER))
        if self.pretrained is None and not has_weights:
            raise PydanticCustomError(
                "weights",
                "`pretrained` is needed, a tag or a file, unless the name starts with hf-hub: or "
                "local-dir:",
            )
        if self.pretrained is not None and has_weights:
            raise PydanticCustomError(
                "weights",
                "a name with hf-hub: or local-dir: has its own weights; remove `pretrained`",
            )
        for key in sorted(self.newer):
            if has_weights and getattr(self, key) is not None:
                raise PydanticCustomError(
                    "weights",
                    "a name with hf-hub: or local-dir: has its `{key}` in its configuration; "
                    "remove `{key}`",
                    {"key": key},
                )
        if self.repository is not None and not is_repository(self.repository):
            raise PydanticCustomError("name", "a name on the hub must be hf-hub:OWNER/NAME")
        if self.revision is not None and self.repository is None:
            raise PydanticCustomError("revision", "only hf-hub: names have a `revision`; remove it")
        return self

    @field_validator("tower")
    @classmethod
    def _names_a_file(cls, tower: str | None) -> str | None:
        if tower is not None and tower.startswith(HUB):
            repository, file = _repository_and_file(tower)
            if not is_repository(repository) or not file or relative_path_fault(file):
                raise PydanticCustomError(
                    "tower", "a file on the hub must be hf-hub:OWNER/NAME/FILE"
                )
        return tower

    @model_validator(mode="after")
    def _has_quick_gelu(self) -> Self:
        # Other tags are checked when weights are resolved: only open_clip knows whether they need
        # QuickGELU, and it imports torch. Before version 2.29, open_clip built QuickGELU for
        # OpenAI's weights under the plain name.
        if self.pretrained == "openai" and not self.name.endswith("-quickgelu"):
            raise PydanticCustomError(
                "activation",
                "OpenAI's weights were trained with QuickGELU, which {name} does not have since "
                "open_clip 2.29; allowed: {name}-quickgelu",
                {"name": self.name},
            )
        return self


class HuggingFaceModel(Model):
    """A CLIP or SigLIP of transformers.

    SigLIP's logit bias is left out: it is equal for all classes, so it changes no prediction and
    no loss of an attack.

    Attributes:
        name: A repository of the hub, or a local folder in the layout of a repository.
        revision: A branch, a tag or a commit of the hub.
        processor: Another repository or folder with the tokenizer and the settings for images, if
            `name` has only weights.
    """

    not_identifying: ClassVar = frozenset({"name", "revision", "processor"})
    newer: ClassVar = frozenset({"processor"})
    libraries: ClassVar = ("transformers",)
    layout: ClassVar = CLIP

    kind: Literal["hugging_face"]
    name: UserPath
    revision: RelativePath | None = None
    processor: UserPath | None = None

    def weight_sources(self) -> tuple[WeightSource, ...]:
        """Return the repository or folder, then that of the processor."""
        if self.processor is None:
            return (_files_of(self.name, CLIP, self.revision),)
        return (
            _files_of(self.name, CLIP_WEIGHTS, self.revision),
            _files_of(self.processor, CLIP_PROCESSOR, None),
        )

    def description(self, of: Callable[[str], str]) -> str:
        """Return the name of the repository or folder."""
        return self.name


class LvlmModel(Model):
    """A vision-language model of transformers that answers in words, such as LLaVA.

    Attributes:
        name: A repository of the hub, or a local folder in the layout of a repository, with or
            without `local-dir:` in front.
        revision: A branch, a tag or a commit of the hub.
        precision: Float type of weights and computation; part of the identity.
        checkpointing: Whether the backward pass recomputes blocks (gradient checkpointing), to use
            less memory.
        tower: Name of a model of the suite whose vision tower replaces the model's own.
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
        """Whether the model answers questions in words: always."""
        return True

    @property
    def compute_dtype(self) -> FloatType:
        """Float type of the model while it is scored."""
        return self.precision

    @property
    def config_name(self) -> str:
        """Name of the configuration in the catalogue."""
        return self.name

    def weight_sources(self) -> tuple[WeightSource, ...]:
        """Return the repository or folder."""
        local = self.name.startswith(FOLDER)
        folder = Path(self.name.removeprefix(FOLDER)) if local else local_folder(self.name)
        repository = "" if folder else self.name
        return (RepositoryFiles(self.name, CHAT, folder, repository, self.revision),)

    def identity(self, fingerprint: str, of: Callable[[str], dict[str, Any]]) -> dict[str, Any]:
        """Return the settings that change the model's output; `checkpointing` does not."""
        tower = {"tower": of(self.tower)} if self.tower else {}
        return {"lvlm": self.precision, "fingerprint": fingerprint, **tower}

    def description(self, of: Callable[[str], str]) -> str:
        """Return the name of the repository or folder, and the description of `tower`."""
        tower = f" with the tower of {of(self.tower)}" if self.tower else ""
        return f"{self.name}{tower}"


def _files_of(name: str, layout: RepositoryLayout, revision: str | None) -> RepositoryFiles:
    """Return the files of a repository, or of a local folder in its layout."""
    folder = local_folder(name)
    return RepositoryFiles(name, layout, folder, "" if folder else name, revision)


def _tower_source(tower: str) -> WeightSource:
    if tower.startswith(HUB):
        return HubCheckpoint(*_repository_and_file(tower))
    return LocalFile(Path(tower), advice=download_advice(tower))


def _repository_and_file(tower: str) -> tuple[str, str]:
    owner, name, file = [*tower.removeprefix(HUB).split("/", 2), "", ""][:3]
    return f"{owner}/{name}", file

"""The base class of a suite's models: all that the rest of the project asks of a model's spec.

A kind of model overrides the methods whose default does not fit it.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Protocol

from pydantic import Field

from bench.catalogue.repository_layouts import RepositoryLayout
from bench.core.identifiers import is_repository
from bench.suite.specs.base import Spec

Component = Literal["filter", "anchor"]  # the two components of R-Adapt
FloatType = Literal["fp32", "bf16", "fp16"]


@dataclass(frozen=True, slots=True)
class LocalFile:
    """A local file of weights: a user's, or part of the package.

    Attributes:
        path: Path of the file.
        what: Name of its content in messages.
        advice: Where to get the file, if that is known.
    """

    path: Path
    what: str = "checkpoint"
    advice: str = ""

    @property
    def absent(self) -> str:
        """A message for the case that the file is missing."""
        return f"{self.path}: no such {self.what}" + (f"; {self.advice}" if self.advice else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenClipFile(LocalFile):
    """A local file of the weights of a model that open_clip knows by name.

    The file contains neither the normalisation of images nor the activation.

    Attributes:
        model: Name of the model.
        preprocess: Whether the suite sets the normalisation.
        activation: Whether the suite sets the activation.
    """

    model: str
    preprocess: bool
    activation: bool


@dataclass(frozen=True, slots=True)
class OpenClipTag:
    """Weights that open_clip downloads, by the name of a model and a pretrained tag."""

    model: str
    tag: str


@dataclass(frozen=True, slots=True)
class HubCheckpoint:
    """One file of weights in a repository of the hub that has no known layout.

    Attributes:
        repository: `OWNER/NAME` on the hub.
        path: Path of the file in the repository.
    """

    repository: str
    path: str


@dataclass(frozen=True, slots=True)
class RepositoryFiles:
    """The files of a repository of the hub, or of a local folder in its layout.

    Attributes:
        name: Name in the suite, for messages.
        layout: Which files the repository has.
        folder: The local folder; None for a repository of the hub.
        repository: `OWNER/NAME` on the hub; empty for a folder.
        revision: A branch, a tag or a commit of the hub; None for the branch `main`.
    """

    name: str
    layout: RepositoryLayout
    folder: Path | None
    repository: str
    revision: str | None


WeightSource = LocalFile | OpenClipTag | HubCheckpoint | RepositoryFiles


class HasWeights(Protocol):
    """A model or judge with files of weights."""

    def weight_sources(self) -> tuple[WeightSource, ...]:
        """Return where the weights are."""


def local_folder(name: str) -> Path | None:
    """Return the folder that a name refers to, whether it exists or not; None for a repository."""
    place = Path(name)
    return place if place.is_dir() or not is_repository(name) else None


class Model(Spec):
    """A model of a suite.

    Attributes:
        kind: Name of the kind.
        gpus: Share of a GPU that a worker reserves for the model's cells, in (0,1]. Not part of
            the identity.
        model_keys: Key paths of the settings that name other models of the suite.
        not_identifying: Settings that are not part of the identity, because the files that they
            name are hashed instead.
        newer: Settings that are newer than stored results. While they have their defaults, they
            are not part of the digest by which a stored fingerprint is recognised.
        libraries: Packages that the model needs in addition to those of every run.
        layout: Repository layout, with which the model's size is estimated; None if not known.
        runs_own_code: Whether the model is code that the suite names. It then needs `--trust`.
    """

    model_keys: ClassVar[tuple[str, ...]] = ()
    not_identifying: ClassVar[frozenset[str]] = frozenset()
    newer: ClassVar[frozenset[str]] = frozenset()
    libraries: ClassVar[tuple[str, ...]] = ()
    layout: ClassVar[RepositoryLayout | None] = None
    runs_own_code: ClassVar[bool] = False

    kind: str
    gpus: Annotated[float, Field(gt=0, le=1)] = 1.0

    @classmethod
    def models_named_in(cls, entry: Any) -> dict[str, str]:
        """Return the names of the models that an entry refers to, by key path within the entry.

        Args:
            entry: An entry of this kind, as read from YAML.
        """
        found = {}
        for path in cls.model_keys:
            value = entry
            for key in path.split("."):
                value = value.get(key) if isinstance(value, dict) else None
            if isinstance(value, str):
                found[path] = value
        return found

    def settings(self) -> dict[str, Any]:
        """Return the model's entry in the suite, by which its stored fingerprint is recognised."""
        fields = type(self).model_fields
        unset = {key for key in self.newer if getattr(self, key) == fields[key].default}
        return self.model_dump(exclude={"gpus", *unset})

    @property
    def parents(self) -> dict[str, str]:
        """Names of the models that this model is made of, by key path."""
        return self.models_named_in(self.model_dump())

    @property
    def architecture_of(self) -> str | None:
        """Name of the model whose architecture and precision this model has, or None."""
        return None

    @property
    def answers_in_words(self) -> bool:
        """Whether the model answers questions in words, if `architecture_of` is None."""
        return False

    @property
    def gives_logits(self) -> bool:
        """Whether the model returns logits of classes and has no embeddings."""
        return False

    @property
    def compute_dtype(self) -> FloatType:
        """Float type of the model while it is scored, if `architecture_of` is None."""
        return "fp32"

    @property
    def config_name(self) -> str:
        """Name of its configuration in open_clip or the catalogue; empty if neither has it."""
        return ""

    @property
    def components(self) -> tuple[Component, ...]:
        """Components that the model adds to its base and that can be removed."""
        return ()

    def without_components(self, components: Collection[Component]) -> "Model":
        """Return a copy of the model without some of its components."""
        return self

    def weight_sources(self) -> tuple[WeightSource, ...]:
        """Return the sources of the model's own weights; empty if it has none."""
        return ()

    def content(self) -> str:
        """Return a text that replaces the hash of weights, for a model without `weight_sources`.

        Raises:
            CellError: The text cannot be determined.
        """
        return self.kind

    def unhashed(self) -> tuple[str, ...]:
        """Return the parts of the content that cannot be hashed, each with the reason."""
        return ()

    def identity(self, fingerprint: str, of: Callable[[str], dict[str, Any]]) -> dict[str, Any]:
        """Return all settings that change the model's output, without names and paths.

        Args:
            fingerprint: Hash of the weights.
            of: Returns the identity of another model of the suite, by name.
        """
        excluded = {"gpus", *self.not_identifying}
        return {
            **self.model_dump(exclude=excluded, exclude_defaults=True),
            "fingerprint": fingerprint,
        }

    def description(self, of: Callable[[str], str]) -> str:
        """Return a short description of the weights' origin.

        Args:
            of: Returns the description of another model of the suite, by name.
        """
        return self.kind

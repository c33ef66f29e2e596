"""What every model of a suite tells about itself; the rest of the project asks for nothing else.

A kind of model overrides the answers that differ from those here.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from bench.catalogue.repository_layouts import RepositoryLayout
from bench.suite.specs.base import Spec

Component = Literal["filter", "anchor"]  # of R-Adapt
FloatType = Literal["fp32", "bf16", "fp16"]


@dataclass(frozen=True, slots=True)
class LocalFile:
    """A file of weights on this machine: the user's own, or one that comes with `bench`.

    Attributes:
        path: Where it is.
        what: What to call it in a message.
    """

    path: Path
    what: str = "checkpoint"


@dataclass(frozen=True, slots=True)
class OpenClipTag:
    """Weights that open_clip knows by the name of a model and a pretrained tag."""

    model: str
    tag: str


@dataclass(frozen=True, slots=True)
class RepositoryFiles:
    """The files of a repository of the hub, or of a local folder in its layout.

    Attributes:
        name: What the suite calls it, for messages.
        layout: Which files those are.
        folder: The local folder; None for a repository of the hub.
        repository: `OWNER/NAME` on the hub; empty for a folder.
        revision: A branch, a tag or a commit of the hub; None for the branch `main`.
    """

    name: str
    layout: RepositoryLayout
    folder: Path | None
    repository: str
    revision: str | None


WeightSource = LocalFile | OpenClipTag | RepositoryFiles


class Model(Spec):
    """A model of a suite.

    Attributes:
        kind: Which kind it is; each kind has a word of its own.
        gpus: Share of an accelerator that a worker takes for their cells; in no identity.
        model_keys: Key paths of the settings that name other models of the suite.
        not_identifying: Settings that are in no identity: what they name is hashed instead.
        libraries: Packages that it needs beside those that every run needs.
        layout: Layout of its configuration, by which its size is estimated; None if not known.
        runs_own_code: Whether it is code that the suite names, which runs only with `--trust`.
    """

    model_keys: ClassVar[tuple[str, ...]] = ()
    not_identifying: ClassVar[frozenset[str]] = frozenset()
    libraries: ClassVar[tuple[str, ...]] = ()
    layout: ClassVar[RepositoryLayout | None] = None
    runs_own_code: ClassVar[bool] = False

    kind: str
    gpus: Annotated[float, Field(gt=0, le=1)] = 1.0

    @classmethod
    def models_named_in(cls, entry: Any) -> dict[str, str]:
        """Return the models that an entry of this kind names, by key path within the entry."""
        found = {}
        for path in cls.model_keys:
            value = entry
            for key in path.split("."):
                value = value.get(key) if isinstance(value, dict) else None
            if isinstance(value, str):
                found[path] = value
        return found

    @property
    def parents(self) -> dict[str, str]:
        """The models of the suite that it is made of, by the key path that names each."""
        return self.models_named_in(self.model_dump())

    @property
    def architecture_of(self) -> str | None:
        """The model of the suite whose architecture and precision it has, if it is built on one."""
        return None

    @property
    def answers_in_words(self) -> bool:
        """Whether it answers questions in words by itself, and not through `architecture_of`."""
        return False

    @property
    def compute_dtype(self) -> FloatType:
        """The type of its numbers while it is judged, where it is not built on another model."""
        return "fp32"

    @property
    def config_name(self) -> str:
        """By which name open_clip or the catalogue may know its configuration; empty if by none."""
        return ""

    @property
    def components(self) -> tuple[Component, ...]:
        """What it adds to the model that it is built on, and what can be taken out."""
        return ()

    def without_components(self, components: Collection[Component]) -> "Model":
        """Return the same model with some of its components taken out."""
        return self

    def weight_sources(self) -> tuple[WeightSource, ...]:
        """Return where its own weights come from; nothing where it has none of its own."""
        return ()

    def content(self) -> str:
        """Return what stands for the hash of its weights where it has no `weight_sources`.

        Raises:
            CellError: That cannot be told.
        """
        return self.kind

    def identity(self, fingerprint: str, of: Callable[[str], dict[str, Any]]) -> dict[str, Any]:
        """Return what its answer depends on, without names and paths.

        Args:
            fingerprint: Hash of its weights.
            of: Returns the identity of another model of the suite.
        """
        left_out = {"gpus", *self.not_identifying}
        return {
            **self.model_dump(exclude=left_out, exclude_defaults=True),
            "fingerprint": fingerprint,
        }

    def description(self, of: Callable[[str], str]) -> str:
        """Return in a few words where its weights come from.

        Args:
            of: Returns the description of another model of the suite.
        """
        return self.kind

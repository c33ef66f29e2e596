"""The base class of a suite's models: all that the rest of the project asks of a model's spec.

A kind of model overrides the methods whose default does not fit it. Test-time defences, which are
models over another model, have a base class of their own.
"""

import math
from collections.abc import Callable, Collection
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from bench.catalogue.repository_layouts import RepositoryLayout
from bench.catalogue.weight_sources import WeightSource
from bench.suite.specs.attack_base import Count
from bench.suite.specs.base import Name, Spec

# What a surrogate's gradient can leave out: the two components of R-Adapt; a defence, or only how
# the defence's change of an image depends on the image.
Component = Literal["filter", "anchor", "defence", "unrolling"]
FloatType = Literal["fp32", "bf16", "fp16"]
Gradient = Literal["exact", "identity", "base"]  # how it is taken through a defence

# Independent draws that an attack on a random defence averages per gradient, and the least number
# of passes: a single pass cannot show how often a point is misclassified. Between the 10 to 30
# draws of Athalye et al. 2018 (arXiv:1802.00420) and the cost, which grows with the number.
_DRAWS, _LEAST_PASSES = 8, 2


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
            are not part of the digest by which a stored fingerprint is recognised, nor of the
            identity.
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
        return self.model_dump(exclude={"gpus", "eot", *self.unset})

    @property
    def unset(self) -> set[str]:
        """The newer settings that have their defaults."""
        fields = type(self).model_fields
        return {key for key in self.newer if getattr(self, key) == fields[key].default}

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
    def forwards(self) -> int:
        """Cost of embedding an image, in forward passes of `architecture_of` or its own."""
        return 1

    @property
    def kept(self) -> int:
        """Number of passes of `architecture_of` whose activations a gradient needs."""
        return 1

    @property
    def text_forwards(self) -> int:
        """Cost of an image in passes of the text encoder, per class; a gradient keeps as many."""
        return 0

    @property
    def passes(self) -> int:
        """Number of passes that an attack with `eot: model` averages; 1 if it is not random."""
        return 1

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

    def check_code(self) -> None:
        """Check that the model's code is found, without reading or importing it.

        Raises:
            CellError: It is not found.
        """

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


class DefenceModel(Model):
    """Base class of all defences.

    Attributes:
        implementation: The class in `radapt.defences`, `MODULE:CLASS`.
        random: Whether two embeddings of an image differ.
        gradients: The ways in which gradients can be taken, the usual way first.
        version: Version of the defence's numbers; raised when a change of the code changes them.
        base: Name of the model that is defended.
        gradient: How gradients are taken: through all that the defence computes (`exact`), with the
            defence's change of the image as a constant (`identity`), or the base's (`base`). The
            defence's usual way if None. It changes no prediction.
        eot: Number of passes that an attack with `eot: model` averages. By default enough for 8
            independent draws, and at least 2; 1 if the defence is not random. Not part of the
            model's identity.
    """

    model_keys: ClassVar[tuple[str, ...]] = ("base",)
    implementation: ClassVar[str]
    random: ClassVar[bool] = False
    gradients: ClassVar[tuple[Gradient, ...]] = ("exact", "identity", "base")
    version: ClassVar[int] = 1

    base: Name
    gradient: Gradient | None = None
    eot: Count | None = None

    @model_validator(mode="after")
    def _gradient_exists(self) -> Self:
        if self.gradient is not None and self.gradient not in self.gradients:
            raise PydanticCustomError(
                "gradient", "`gradient`: allowed for this defence: {allowed}",
                {"allowed": ", ".join(self.gradients)},
            )  # fmt: skip
        return self

    def parameters(self) -> dict[str, Any]:
        """Return the parameters of the implementation."""
        return self.model_dump(exclude={*DefenceModel.model_fields, "kind"})

    @property
    def way(self) -> Gradient:
        """How gradients are taken."""
        return self.gradient or self.gradients[0]

    @property
    def copies(self) -> int:
        """Number of independent draws that one pass averages."""
        return 1

    @property
    def passes(self) -> int:
        """Number of passes that an attack with `eot: model` averages; see `eot`."""
        usual = max(_LEAST_PASSES, math.ceil(_DRAWS / self.copies)) if self.random else 1
        return self.eot or usual

    @property
    def architecture_of(self) -> str:
        """Name of the model that is defended."""
        return self.base

    @property
    def components(self) -> tuple[Component, ...]:
        """What a surrogate's gradient can leave out: the defence, or its derivative."""
        return ("defence", *(("unrolling",) if "identity" in self.gradients else ()))

    def without_components(self, components: Collection[Component]) -> Self:
        """Return a copy of the model whose gradient leaves out a component."""
        way = "base" if "defence" in components else "identity"
        return self.model_copy(update={"gradient": way}) if components else self

    def identity(self, fingerprint: str, of: Callable[[str], dict[str, Any]]) -> dict[str, Any]:
        """Return the defence and its parameters, with the identities of the models in it."""
        own = {*self.parameters()} - self.unset - {*self.parents}
        return {
            "defence": str(self.kind),
            "parameters": {key: value for key, value in self.parameters().items() if key in own},
            **{key: of(name) for key, name in self.parents.items()},
            **({"gradient": self.gradient} if self.gradient else {}),
            **({"version": self.version} if self.version > 1 else {}),
        }

    def description(self, of: Callable[[str], str]) -> str:
        """Return the base and the defence: `nano clip + ttc`."""
        return f"{of(self.base)} + {self.kind}"

"""The kinds of models: published, embedded, adapted, grafted, or of the user's own."""

from collections.abc import Callable, Collection, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self, get_args

from pydantic import BeforeValidator, Field, JsonValue, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from bench.core.digests import hash_files
from bench.core.errors import CellError
from bench.core.module_files import module_file
from bench.suite.specs.base import Name, Place, Spec, many
from bench.suite.specs.model_base import Component, LocalFile, Model, WeightSource
from bench.suite.specs.published_models import HuggingFaceModel, LvlmModel, OpenClipModel

_EMBEDDED = Path(__file__).parents[2] / "nano" / "weights"


class NanoModel(Model):
    """One of the embedded models."""

    kind: Literal["nano"]
    weights: Literal["clip", "fare", "tecoa", "tga"]

    def weight_sources(self) -> tuple[WeightSource, ...]:
        """Return the files that come with `bench`."""
        names = (f"{self.weights}.safetensors", "text.safetensors", "merges.txt.gz")
        return tuple(LocalFile(_EMBEDDED / name) for name in names)

    def description(self, of: Callable[[str], str]) -> str:
        """Return which embedded model it is."""
        return f"nano {self.weights}"


class TinyModel(Model):
    """A tiny vision-language model with random weights, which says yes or no; no benchmark.

    Attributes:
        family: Of which kind of transformers it is, by the `model_type` of its configuration.
        code: Stands for the code that makes it (`bench.models.language.tiny_models`). Write
            another word here when a change of that code changes what the models say;
            `tests/models/test_tiny_models.py` tells when it does. The first was the hash of
            the code's file.
    """

    libraries: ClassVar = ("transformers",)
    code: ClassVar[str] = "fdd78c608dff6a960a10f084fa87e880858f4f97c253a695e634d192ec1eaa69"

    kind: Literal["lvlm-tiny"]
    family: Literal["llava", "qwen2_5_vl"]

    @property
    def answers_in_words(self) -> bool:
        """Whether it answers questions in words: it does."""
        return True

    def content(self) -> str:
        """Return the version of the code that makes it, and of transformers.

        Raises:
            CellError: transformers is not installed.
        """
        try:
            return f"{self.code} {version('transformers')}"
        except PackageNotFoundError as error:
            raise CellError("`kind: lvlm-tiny` needs the extra: pip install '.[lvlm]'") from error


class Anchor(Spec):
    """Where a robustness anchor comes from: a white image through a model, or a file.

    Attributes:
        white: The model.
        file: As of `radapt anchor` or `radapt fit`.
        resize: Whether an anchor of another image size is resampled to the base's tokens.
    """

    white: Name | None = None
    file: Place | None = None
    resize: bool = False

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.file is None) == (self.white is None):
            raise PydanticCustomError("anchor", "exactly one of `white` and `file` is needed")
        return self


class RAdaptModel(Model):
    """R-Adapt over a declared model (arXiv 2603.12799)."""

    model_keys: ClassVar = ("base", "anchor.white")

    kind: Literal["radapt"]
    base: Name
    anchor: Anchor
    alpha: Annotated[float, Field(ge=0, le=2)]
    cutoff: Annotated[float, Field(gt=0)] | None
    mix: Literal["interpolate", "add"] = "interpolate"
    cutoff_at: Literal[224, "image"] = 224

    @property
    def architecture_of(self) -> str:
        """The model that is adapted."""
        return self.base

    @property
    def components(self) -> tuple[Component, ...]:
        """What it adds to its base."""
        return (*(("anchor",) if self.alpha else ()), *(("filter",) if self.cutoff else ()))

    def less(self, components: Collection[Component]) -> "RAdaptModel":
        """Return the same model with some of its components taken out."""
        anchor = {"alpha": 0.0} if "anchor" in components else {}
        gaussian = {"cutoff": None} if "filter" in components else {}
        return self.model_copy(update={**anchor, **gaussian})

    def weight_sources(self) -> tuple[WeightSource, ...]:
        """Return the anchor's file, if it has one."""
        return (LocalFile(Path(self.anchor.file), "anchor"),) if self.anchor.file else ()

    def content(self) -> str:
        """Return that the anchor is a white image through a model, which is hashed by itself."""
        return "white"

    def identity(self, fingerprint: str, of: Callable[[str], dict[str, Any]]) -> dict[str, Any]:
        """Return its settings, its base and its anchor."""
        white = self.anchor.white
        return {
            "radapt": self.model_dump(include={"alpha", "cutoff", "mix", "cutoff_at"}),
            "base": of(self.base),
            "anchor": of(white) if white else fingerprint,
            **({"anchor_resized": True} if self.anchor.resize else {}),
        }

    def description(self, of: Callable[[str], str]) -> str:
        """Return its base and its components, `ViT-L-14-quickgelu openai + filter`."""
        anchor = f"white {of(self.anchor.white)}" if self.anchor.white else "fitted"
        parts = (
            of(self.base),
            f"anchor({anchor})" if self.alpha else "",
            "filter" if self.cutoff else "",
        )
        return " + ".join(part for part in parts if part)


class GraftModel(Model):
    """A declared model with some modules of another's tower.

    `modules` names one or several: `Emb`, `B1-Attn`, `B3`, `Head`; `..B2` is all from the
    input through B2, `B3..` all from B3 on.
    """

    model_keys: ClassVar = ("base", "donor")

    kind: Literal["graft"]
    base: Name
    donor: Name
    modules: Annotated[tuple[str, ...], BeforeValidator(many), Field(min_length=1)]

    @property
    def architecture_of(self) -> str:
        """The model that takes the modules."""
        return self.base

    def identity(self, fingerprint: str, of: Callable[[str], dict[str, Any]]) -> dict[str, Any]:
        """Return its modules, its base and its donor."""
        return {"graft": self.modules, "base": of(self.base), "donor": of(self.donor)}


class PythonModel(Model):
    """A factory of the user's own, `package.module:function`; runs only with `--trust`.

    It `answers` if it is an `AnsweringModel` of `bench.core.language_types`, and else embeds images
    and texts.
    """

    runs_own_code: ClassVar = True

    kind: Literal["python"]
    target: Annotated[str, StringConstraints(pattern=r"^[\w.]+:[\w.]+$")]
    args: dict[str, JsonValue] = Field(default={})
    answers: bool = False

    @property
    def answers_in_words(self) -> bool:
        """Whether it answers questions in words, as the suite says."""
        return self.answers

    def content(self) -> str:
        """Return a hash of the module's file.

        Raises:
            CellError: There is no such file.
        """
        module = self.target.partition(":")[0]
        file = module_file(module)
        if file is None:
            raise CellError(f"no module named {module!r} with a file of its own")
        return hash_files([file])


ModelSpec = Annotated[
    NanoModel
    | OpenClipModel
    | HuggingFaceModel
    | LvlmModel
    | TinyModel
    | RAdaptModel
    | GraftModel
    | PythonModel,
    Field(discriminator="kind"),
]

KINDS: dict[str, type[Model]] = {
    get_args(kind.model_fields["kind"].annotation)[0]: kind
    for kind in get_args(get_args(ModelSpec)[0])
}


def root_model(models: Mapping[str, ModelSpec], name: str) -> ModelSpec:
    """Return the declared model whose architecture a model has in the end."""
    spec = models[name]
    return spec if spec.architecture_of is None else root_model(models, spec.architecture_of)

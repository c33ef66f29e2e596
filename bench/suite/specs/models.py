"""Specs of models: embedded, adapted, grafted and user-defined. Lists all kinds (`KINDS`)."""

from collections.abc import Callable, Collection, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self, get_args

from pydantic import BeforeValidator, Field, JsonValue, PrivateAttr, model_validator
from pydantic_core import PydanticCustomError

from bench.catalogue.weight_sources import LocalFile, WeightSource
from bench.core.code_content import Content, content_of, require_module, without_paths
from bench.core.errors import CellError
from bench.core.suite_paths import find_path, tried
from bench.suite.specs.attack_base import Count
from bench.suite.specs.base import Name, Spec, UserPath, as_list, matching
from bench.suite.specs.defences import DefenceSpec
from bench.suite.specs.model_base import Component, Model
from bench.suite.specs.model_names import expand_known_model
from bench.suite.specs.published_models import HuggingFaceModel, LvlmModel, OpenClipModel
from radapt.optional_packages import not_installed

_EMBEDDED = Path(__file__).parents[2] / "nano" / "weights"


class NanoModel(Model):
    """An embedded model."""

    kind: Literal["nano"]
    weights: Literal["clip", "fare", "tecoa", "tga"]

    def weight_sources(self) -> tuple[WeightSource, ...]:
        """Return the files of the package."""
        names = (f"{self.weights}.safetensors", "text.safetensors", "merges.txt.gz")
        return tuple(LocalFile(_EMBEDDED / name) for name in names)

    def description(self, of: Callable[[str], str]) -> str:
        """Return the name of the embedded model."""
        return f"nano {self.weights}"


class TinyModel(Model):
    """A tiny vision-language model with random weights that answers yes or no; not a benchmark.

    Attributes:
        family: The `model_type` of its configuration in transformers.
        code: Version of `bench.models.language.tiny_models`. Change it when answers change, which
            `tests/models/test_tiny_models.py` finds.
    """

    libraries: ClassVar = ("transformers",)
    code: ClassVar[str] = "fdd78c608dff6a960a10f084fa87e880858f4f97c253a695e634d192ec1eaa69"

    kind: Literal["lvlm-tiny"]
    family: Literal["llava", "qwen2_5_vl"]

    @property
    def answers_in_words(self) -> bool:
        """Whether the model answers questions in words: always."""
        return True

    def content(self) -> str:
        """Return the version of the code that makes the model, and of transformers.

        Raises:
            CellError: transformers is not installed.
        """
        try:
            return f"{self.code} {version('transformers')}"
        except PackageNotFoundError as error:
            raise CellError(not_installed("transformers")) from error


class Anchor(Spec):
    """A robustness anchor: a model's features of a white image, or a file.

    Attributes:
        white: Name of the model that gets the white image.
        file: A file written by `radapt anchor` or `radapt fit`.
        resize: Whether an anchor of another image size is resampled to the base's tokens.
    """

    white: Name | None = None
    file: UserPath | None = None
    resize: bool = False

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.file is None) == (self.white is None):
            raise PydanticCustomError(
                "anchor", "exactly one of the keys `white` and `file` is needed"
            )
        return self


class RAdaptModel(Model):
    """R-Adapt on another model of the suite (arXiv 2603.12799).

    Attributes:
        base: Name of the model that is adapted.
        anchor: The robustness anchor.
        alpha: Weight of the anchor, in [0,2]; 0 for no anchor.
        cutoff: Cutoff D0 of the low-pass filter, in frequency offsets; None for no filter.
        mix: Whether the anchor's features are interpolated with the image's or added to them.
        cutoff_at: Image size that `cutoff` refers to: 224 pixels, or the size of the image.
    """

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
        """Name of the model that is adapted."""
        return self.base

    @property
    def components(self) -> tuple[Component, ...]:
        """The components that are switched on."""
        return (*(("anchor",) if self.alpha else ()), *(("filter",) if self.cutoff else ()))

    def without_components(self, components: Collection[Component]) -> "RAdaptModel":
        """Return a copy of the model without some of its components."""
        anchor = {"alpha": 0.0} if "anchor" in components else {}
        gaussian = {"cutoff": None} if "filter" in components else {}
        return self.model_copy(update={**anchor, **gaussian})

    def weight_sources(self) -> tuple[WeightSource, ...]:
        """Return the anchor's file, if it comes from a file."""
        file = self.anchor.file
        return (LocalFile(find_path(file), "anchor", tried(file)),) if file else ()

    def content(self) -> str:
        """Return `white`: the anchor comes from a model, which has a hash of its own."""
        return "white"

    def identity(self, fingerprint: str, of: Callable[[str], dict[str, Any]]) -> dict[str, Any]:
        """Return the settings, with the identities of base and anchor."""
        white = self.anchor.white
        return {
            "radapt": self.model_dump(include={"alpha", "cutoff", "mix", "cutoff_at"}),
            "base": of(self.base),
            "anchor": of(white) if white else fingerprint,
            **({"anchor_resized": True} if self.anchor.resize else {}),
        }

    def description(self, of: Callable[[str], str]) -> str:
        """Return the base and the components: `ViT-L-14-quickgelu openai + filter`."""
        anchor = f"white {of(self.anchor.white)}" if self.anchor.white else "fitted"
        parts = (
            of(self.base),
            f"anchor({anchor})" if self.alpha else "",
            "filter" if self.cutoff else "",
        )
        return " + ".join(part for part in parts if part)


class GraftModel(Model):
    """A model of the suite in which modules of another model's vision tower replace its own.

    Attributes:
        base: Name of the model whose modules are replaced.
        donor: Name of the model whose modules are used.
        modules: One or several modules: `Emb`, `B1-Attn`, `B3`, `Head`. `..B2` means all modules
            from the input to B2, `B3..` all from B3 to the output.
    """

    model_keys: ClassVar = ("base", "donor")

    kind: Literal["graft"]
    base: Name
    donor: Name
    modules: Annotated[tuple[str, ...], BeforeValidator(as_list), Field(min_length=1)]

    @property
    def architecture_of(self) -> str:
        """Name of the model whose modules are replaced."""
        return self.base

    def identity(self, fingerprint: str, of: Callable[[str], dict[str, Any]]) -> dict[str, Any]:
        """Return the modules, with the identities of base and donor."""
        return {"graft": self.modules, "base": of(self.base), "donor": of(self.donor)}


class PythonModel(Model):
    """A user's factory of a model, `package.module:function`; runs only with `--trust`.

    Attributes:
        target: The factory.
        args: Arguments of the factory.
        answers: Whether the factory returns a `bench.core.language_types.AnsweringModel`.
        logits: Whether the factory returns a model of logits, see `bench.models.own_outputs`. If
            neither is true, it returns a model that embeds images and texts.
        eot: Number of passes that an attack with `eot: model` averages.
    """

    newer: ClassVar = frozenset({"logits"})
    not_identifying: ClassVar = frozenset({"eot"})
    runs_own_code: ClassVar = True

    kind: Literal["python"]
    target: Annotated[str, matching(r"[\w.]+:[\w.]+", "MODULE:FUNCTION")]
    args: dict[str, JsonValue] = Field(default={})
    answers: bool = False
    logits: bool = False
    eot: Count = 1
    _suite_folder: Path = PrivateAttr(default=Path())  # not part of the identity

    @model_validator(mode="after")
    def _one_output(self) -> Self:
        if self.answers and self.logits:
            raise PydanticCustomError("output", "at most one of `answers` and `logits` may be true")
        return self

    def model_post_init(self, context: Any) -> None:
        """Take the folder of the suite's file from the context, if there is a file."""
        self._suite_folder = (context or {}).get("folder", Path())

    @property
    def module_folders(self) -> tuple[Path, ...]:
        """Where the module is looked for after Python's path: by the suite, and from here."""
        return tuple(dict.fromkeys((self._suite_folder.absolute(), Path.cwd())))

    @property
    def answers_in_words(self) -> bool:
        """Whether the model answers questions in words, as the suite declares."""
        return self.answers

    @property
    def gives_logits(self) -> bool:
        """Whether the model returns logits of classes, as the suite declares."""
        return self.logits

    @property
    def passes(self) -> int:
        """Number of passes that an attack averages, as the suite declares."""
        return self.eot

    def identity(self, fingerprint: str, of: Callable[[str], dict[str, Any]]) -> dict[str, Any]:
        """Return the settings, without paths in `args` of files whose content is hashed."""
        settings = super().identity(fingerprint, of)
        args = without_paths(self.args, fingerprint)
        return {**settings, "args": args} if self.args else settings

    def content(self) -> str:
        """Return a hash of the code, and of the files that code and `args` name.

        Raises:
            CellError: The module has no file.
            OSError: The module's file cannot be read.
        """
        return self._content().fingerprint

    def unhashed(self) -> tuple[str, ...]:
        """Return the parts of the content that cannot be hashed, each with the reason."""
        return self._content().unhashed

    def check_code(self) -> None:
        """Raise CellError if the module has no file."""
        require_module(self.target.partition(":")[0], self.module_folders)

    def _content(self) -> Content:
        return content_of(self.target.partition(":")[0], self.args, self.module_folders)


_Entry = Annotated[
    NanoModel
    | OpenClipModel
    | HuggingFaceModel
    | LvlmModel
    | TinyModel
    | RAdaptModel
    | GraftModel
    | PythonModel
    | DefenceSpec,
    Field(discriminator="kind"),
]
ModelSpec = Annotated[_Entry, BeforeValidator(expand_known_model)]

KINDS: dict[str, type[Model]] = {
    get_args(kind.model_fields["kind"].annotation)[0]: kind
    for kind in get_args(get_args(_Entry)[0])
}


def root_model(models: Mapping[str, ModelSpec], name: str) -> ModelSpec:
    """Return the spec of a model's innermost base; a model without base is its own.

    Args:
        models: The suite's models, by name.
        name: Name of a model.
    """
    spec = models[name]
    return spec if spec.architecture_of is None else root_model(models, spec.architecture_of)

"""Models: embedded, of open_clip, of transformers, adapted, grafted, or of the user's own."""

from collections.abc import Collection
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, JsonValue, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from bench.core.identifiers import is_repository
from bench.suite.specs.base import Inside, Name, Place, Spec, many

Component = Literal["filter", "anchor"]  # of R-Adapt
HUB, FOLDER = "hf-hub:", "local-dir:"


class _Model(Spec):
    """What all models say.

    Attributes:
        gpus: Share of an accelerator that a worker takes for their cells; in no identity.
    """

    gpus: Annotated[float, Field(gt=0, le=1)] = 1.0


class NanoModel(_Model):
    """One of the embedded models."""

    kind: Literal["nano"]
    weights: Literal["clip", "fare", "tecoa", "tga"]


class OpenClipModel(_Model):
    """A model of open_clip: by name and pretrained tag, `hf-hub:` name, or local checkpoint.

    `local-dir:` names a folder in the layout of such a hub repository. `revision` is a branch,
    a tag or a commit of an `hf-hub:` name. `tower` is a checkpoint of the vision tower alone, as
    RobustVLM, TeCoA and TGA-ZSR publish them.
    """

    kind: Literal["open_clip"]
    name: Place
    pretrained: Place | None = None
    tower: Place | None = None
    revision: Inside | None = None

    @property
    def repository(self) -> str | None:
        """The repository of the hub that the name stands for, `owner/name`."""
        return self.name.removeprefix(HUB) if self.name.startswith(HUB) else None

    @property
    def folder(self) -> str | None:
        """The local folder that the name stands for."""
        return self.name.removeprefix(FOLDER) if self.name.startswith(FOLDER) else None

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
        # open_clip before 2.29 built QuickGELU for OpenAI's weights under the plain name
        if self.pretrained == "openai" and not self.name.endswith("-quickgelu"):
            raise PydanticCustomError(
                "activation",
                "OpenAI's weights were trained with QuickGELU, which {name} lacks in today's "
                "open_clip; allowed: {name}-quickgelu",
                {"name": self.name},
            )
        return self


class HuggingFaceModel(_Model):
    """A CLIP or SigLIP of transformers: a hub's name, or a local folder in a hub's layout.

    `revision` is a branch, a tag or a commit. SigLIP's logit bias is left out: the same number
    on all classes changes no prediction and no loss of an attack.
    """

    kind: Literal["hugging_face"]
    name: Place
    revision: Inside | None = None


class LvlmModel(_Model):
    """A vision-language model of transformers that answers in words, as LLaVA does.

    Attributes:
        name: A hub's name, a local folder in a hub's layout, or the latter after `local-dir:`.
        revision: A branch, a tag or a commit of the hub.
        precision: Of weights and computation; numbers depend on it.
        checkpointing: Whether the backward pass computes blocks anew, for less memory.
        tower: A declared model whose vision tower takes the place of its own.
    """

    kind: Literal["lvlm"]
    name: Place
    revision: Inside | None = None
    precision: Literal["fp32", "bf16", "fp16"] = "bf16"
    checkpointing: bool = False
    tower: Name | None = None


class TinyModel(_Model):
    """A tiny vision-language model with random weights, which says yes or no; no benchmark.

    Attributes:
        family: Of which kind of transformers it is, by the `model_type` of its configuration.
    """

    kind: Literal["lvlm-tiny"]
    family: Literal["llava", "qwen2_5_vl"]


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


class RAdaptModel(_Model):
    """R-Adapt over a declared model (arXiv 2603.12799)."""

    kind: Literal["radapt"]
    base: Name
    anchor: Anchor
    alpha: Annotated[float, Field(ge=0, le=2)]
    cutoff: Annotated[float, Field(gt=0)] | None
    mix: Literal["interpolate", "add"] = "interpolate"
    cutoff_at: Literal[224, "image"] = 224

    @property
    def components(self) -> tuple[Component, ...]:
        """What it adds to its base."""
        return (*(("anchor",) if self.alpha else ()), *(("filter",) if self.cutoff else ()))

    def less(self, components: Collection[Component]) -> "RAdaptModel":
        """Return the same model with some of its components taken out."""
        anchor = {"alpha": 0.0} if "anchor" in components else {}
        gaussian = {"cutoff": None} if "filter" in components else {}
        return self.model_copy(update={**anchor, **gaussian})


class GraftModel(_Model):
    """A declared model with some modules of another's tower.

    `modules` names one or several: `Emb`, `B1-Attn`, `B3`, `Head`; `..B2` is all from the
    input through B2, `B3..` all from B3 on.
    """

    kind: Literal["graft"]
    base: Name
    donor: Name
    modules: Annotated[tuple[str, ...], BeforeValidator(many), Field(min_length=1)]


class PythonModel(_Model):
    """A factory of the user's own, `package.module:function`; runs only with `--trust`.

    It `answers` if it is a `bench.core.exchanges.AnsweringModel`, and else embeds images and texts.
    """

    kind: Literal["python"]
    target: Annotated[str, StringConstraints(pattern=r"^[\w.]+:[\w.]+$")]
    args: dict[str, JsonValue] = Field(default={})
    answers: bool = False


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

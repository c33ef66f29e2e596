"""Models: embedded, of open_clip, adapted, grafted, or of the user's own."""

from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, JsonValue, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from bench.specs.base import Name, Spec, many


class NanoModel(Spec):
    """One of the embedded models."""

    kind: Literal["nano"]
    weights: Literal["clip", "fare", "tecoa", "tga"]


class OpenClipModel(Spec):
    """A model of open_clip: by name and pretrained tag, `hf-hub:` name, or local checkpoint.

    `tower` is a checkpoint of the vision tower alone, as RobustVLM and TeCoA publish them.
    """

    kind: Literal["open_clip"]
    name: str
    pretrained: str | None = None
    tower: str | None = None

    @model_validator(mode="after")
    def _has_weights(self) -> Self:
        if self.pretrained is None and not self.name.startswith("hf-hub:"):
            raise PydanticCustomError(
                "weights", "`pretrained` is needed: a tag or a file; only hf-hub: names imply one"
            )
        return self


class Anchor(Spec):
    """Where a robustness anchor comes from: a white image through a model, or a file."""

    white: Name | None = None
    file: str | None = None

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.file is None) == (self.white is None):
            raise PydanticCustomError("anchor", "exactly one of `white` and `file` is needed")
        return self


class RAdaptModel(Spec):
    """R-Adapt over a declared model (arXiv 2603.12799)."""

    kind: Literal["radapt"]
    base: Name
    anchor: Anchor
    alpha: Annotated[float, Field(ge=0, le=2)]
    cutoff: Annotated[float, Field(gt=0)] | None
    mix: Literal["interpolate", "add"] = "interpolate"
    cutoff_at: Literal[224, "image"] = 224


class GraftModel(Spec):
    """A declared model with some modules of another's tower.

    `modules` names one or several: `Emb`, `B1-Attn`, `B3`, `Head`; `..B2` is all from the
    input through B2, `B3..` all from B3 on.
    """

    kind: Literal["graft"]
    base: Name
    donor: Name
    modules: Annotated[tuple[str, ...], BeforeValidator(many), Field(min_length=1)]


class PythonModel(Spec):
    """A factory of the user's own, `package.module:function`; runs only with `--trust`."""

    kind: Literal["python"]
    target: Annotated[str, StringConstraints(pattern=r"^[\w.]+:[\w.]+$")]
    args: dict[str, JsonValue] = Field(default={})


ModelSpec = Annotated[
    NanoModel | OpenClipModel | RAdaptModel | GraftModel | PythonModel,
    Field(discriminator="kind"),
]

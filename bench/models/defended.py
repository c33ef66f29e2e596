"""Models behind a test-time defence of `radapt.defences`."""

from collections.abc import Sequence
from importlib import import_module

from torch import Tensor

from bench.core.deadline import Check, LimitedModel, unlimited
from bench.core.errors import CellError
from bench.core.types import ImageTextModel
from bench.models.build_context import BuildContext
from bench.models.clip import ClipModel
from bench.models.language import LanguageModel
from bench.models.own_outputs import LogitsModel
from bench.suite.specs.model_base import DefenceModel
from radapt.defences.defence import (
    AnyDefence,
    Base,
    Defence,
    Defended,
    Gradient,
    LogitDefence,
    defended_logits,
)


class DefendedModel:
    """A model that embeds images and texts, with a defence in front of its image embeddings.

    Attributes:
        model: The model that is defended.
        defence: The defence.
        gradient: How gradients are taken.
        logit_scale: Factor on the cosine of image and text embeddings.
    """

    def __init__(
        self,
        model: ImageTextModel,
        defence: Defence,
        gradient: Gradient | None,
        classes: Tensor | None = None,
        check: Check = unlimited,
    ) -> None:
        """Combine a model and a defence.

        Args:
            model: The model.
            defence: The defence.
            gradient: How gradients are taken; the defence's usual way if None.
            classes: Text vectors of the classes, `[d,k]`, if they are known.
            check: Checks the time limit before each pass that the defence makes.
        """
        self.model = model
        self.defence = defence
        self.gradient = gradient or defence.gradients[0]
        self.logit_scale = model.logit_scale
        self._check = check
        base = _as_base(model, check, classes=classes)
        self._defended = Defended(defence, base, self.gradient)

    def encode_image(self, images: Tensor) -> Tensor:
        """Return defended embeddings `[b,d]` of images `[b,3,h,w]` in [0,1]; differentiable."""
        embeddings: Tensor = self._defended(images)
        return embeddings

    def encode_text(self, texts: Sequence[str]) -> Tensor:
        """Return the model's embeddings `[n,d]` of n texts."""
        return self.model.encode_text(texts)

    @property
    def needs_classes(self) -> bool:
        """Whether this defence, or one inside, depends on the classes of the dataset."""
        inner = isinstance(self.model, DefendedModel) and self.model.needs_classes
        return self.defence.needs_classes or inner

    def with_classes(self, classes: Tensor) -> "DefendedModel":
        """Return the same model for classes with these text vectors `[d,k]`."""
        inside = self.model
        if isinstance(inside, DefendedModel):
            inside = inside.with_classes(classes)
        return DefendedModel(inside, self.defence, self.gradient, classes, self._check)

    def facts(self) -> dict[str, str]:
        """Return the properties of the built model that results report."""
        return _facts(self.model, self.defence, self.gradient)


class DefendedLogits(LogitsModel):
    """A model behind a defence that gives logits.

    Attributes:
        model: The model that is defended.
        defence: The defence.
        gradient: How gradients are taken.
    """

    def __init__(
        self,
        model: ImageTextModel,
        defence: LogitDefence,
        gradient: Gradient | None,
        check: Check = unlimited,
    ) -> None:
        """Combine a model and a defence; the arguments are those of `DefendedModel`."""
        self.model = model
        self.defence = defence
        self.gradient = gradient or defence.gradients[0]
        self._check = check

    def logits(self, images: Tensor, classes: Sequence[str]) -> Tensor:
        """Map images `[b,3,h,w]` in [0,1] to logits of k classes, `[b,k]`; differentiable."""
        base = _as_base(self.model, self._check, names=tuple(classes))
        return defended_logits(self.defence, base, images, self.gradient)

    def facts(self) -> dict[str, str]:
        """Return the properties of the built model that results report."""
        return _facts(self.model, self.defence, self.gradient)


def undefended(model: ImageTextModel) -> ImageTextModel:
    """Return the model behind all defences."""
    return undefended(model.model) if isinstance(model, DefendedModel) else model


def _facts(model: ImageTextModel, defence: AnyDefence, gradient: Gradient) -> dict[str, str]:
    known = isinstance(model, ClipModel | DefendedModel)
    drawn = "random" if defence.random else "deterministic"
    return {
        **(model.facts() if known else {}),  # type: ignore[attr-defined]
        "defence": f"{drawn}, gradient: {gradient}",
    }


def _as_base(
    model: ImageTextModel,
    check: Check,
    *,
    classes: Tensor | None = None,
    names: tuple[str, ...] = (),
) -> Base:
    """Return a model as a defence over it sees it."""
    clip = undefended(model)
    tokens = clip.token_embedding if isinstance(clip, ClipModel) else None
    limited = LimitedModel(model, check)
    return Base(
        limited.encode_image, limited.encode_text, classes, names, tokens, model.logit_scale
    )


def build_defended(spec: DefenceModel, context: BuildContext) -> DefendedModel | DefendedLogits:
    """Build a defence over another model of the suite.

    Raises:
        CellError: A model that the defence names has no embeddings of images, or needs the classes'
            text vectors where the defence does not pass them on.
    """
    module, _, name = spec.implementation.partition(":")
    kind: type[AnyDefence] = getattr(import_module(module), name)
    passed_on = {"base"} if issubclass(kind, Defence) else set()
    parts = {key: _part(spec, key, context, key in passed_on) for key in spec.parents}
    base = parts.pop("base")
    others = {key: LimitedModel(part, context.check).encode_image for key, part in parts.items()}
    defence = kind(**{**spec.parameters(), **others})
    if isinstance(defence, Defence):
        return DefendedModel(base, defence, spec.gradient, check=context.check)
    assert isinstance(defence, LogitDefence)
    return DefendedLogits(base, defence, spec.gradient, context.check)


def _part(spec: DefenceModel, key: str, context: BuildContext, classes: bool) -> ImageTextModel:
    """Return a model that a defence names; `classes` says whether it gets text vectors."""
    name = spec.parents[key]
    part = context.refer(name)
    place = f"{spec.kind} over {name!r}" if key == "base" else f"{spec.kind} with {key} {name!r}"
    if not hasattr(part, "encode_image") or isinstance(part, LanguageModel):
        raise CellError(f"{place}: allowed: models that embed images")
    if isinstance(part, DefendedModel) and part.needs_classes and not classes:
        raise CellError(f"{place}: allowed: defences that need no classes")
    return part

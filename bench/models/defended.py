"""Models behind a test-time defence of `radapt.defences`."""

from collections.abc import Sequence
from importlib import import_module

from torch import Tensor

from bench.core.errors import CellError
from bench.core.types import ImageTextModel
from bench.models.build_context import BuildContext
from bench.models.clip import ClipModel
from bench.models.language import LanguageModel
from bench.models.zero_shot import ZeroShotClassifier
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
    """A model that embeds images and texts, behind a defence.

    Attributes:
        model: The model that is defended.
        defence: The defence.
        gradient: How gradients are taken.
        logit_scale: Factor on the cosine of image and text embeddings.
    """

    def __init__(
        self,
        model: ImageTextModel,
        defence: AnyDefence,
        gradient: Gradient | None,
        classes: Tensor | None = None,
        names: tuple[str, ...] = (),
    ) -> None:
        """Combine a model and a defence.

        Args:
            model: The model.
            defence: The defence.
            gradient: How gradients are taken; the defence's usual way if None.
            classes: Text vectors of the classes, `[d,k]`, if they are known.
            names: Names of the classes.
        """
        self.model = model
        self.defence = defence
        self.gradient = gradient or defence.gradients[0]
        self.logit_scale = model.logit_scale
        self._base = _as_base(model, classes, names)

    def encode_image(self, images: Tensor) -> Tensor:
        """Return defended embeddings `[b,d]` of images `[b,3,h,w]` in [0,1]; differentiable.

        Raises:
            CellError: The defence gives logits only.
        """
        if not isinstance(self.defence, Defence):
            raise CellError("the defence gives logits and no embeddings; use a loss of logits")
        embeddings: Tensor = Defended(self.defence, self._base, self.gradient)(images)
        return embeddings

    def encode_text(self, texts: Sequence[str]) -> Tensor:
        """Return the model's embeddings `[n,d]` of n texts."""
        return self.model.encode_text(texts)

    def logits(self, images: Tensor) -> Tensor:
        """Return the logits `[b,k]` of images, if the defence gives logits."""
        assert isinstance(self.defence, LogitDefence)
        return defended_logits(self.defence, self._base, images, self.gradient)

    @property
    def embeds_images(self) -> bool:
        """Whether images have embeddings, and not logits only."""
        return isinstance(self.defence, Defence)

    @property
    def needs_classes(self) -> bool:
        """Whether this defence, or one inside, depends on the classes of the dataset."""
        inner = isinstance(self.model, DefendedModel) and self.model.needs_classes
        return self.defence.needs_classes or inner

    def with_classes(self, classes: Tensor, names: tuple[str, ...]) -> "DefendedModel":
        """Return the same model for classes with these text vectors `[d,k]` and names."""
        inside = self.model
        if isinstance(inside, DefendedModel):
            inside = inside.with_classes(classes, names)
        return DefendedModel(inside, self.defence, self.gradient, classes, names)

    def facts(self) -> dict[str, str]:
        """Return the properties of the built model that results report."""
        known = isinstance(self.model, ClipModel | DefendedModel)
        drawn = "random" if self.defence.random else "deterministic"
        return {
            **(self.model.facts() if known else {}),  # type: ignore[attr-defined]
            "defence": f"{drawn}, gradient: {self.gradient}",
        }


class DefendedClassifier(ZeroShotClassifier):
    """The classifier of a model whose defence gives logits."""

    model: DefendedModel

    def forward(self, images: Tensor) -> Tensor:
        """Map images `[b,3,h,w]` in [0,1] to logits `[b,k]`."""
        return self.model.logits(images)


def _as_base(model: ImageTextModel, classes: Tensor | None, names: tuple[str, ...]) -> Base:
    """Return a model as a defence over it sees it."""
    clip = undefended(model)
    tokens = clip.token_embedding if isinstance(clip, ClipModel) else None
    return Base(model.encode_image, model.encode_text, classes, names, tokens, model.logit_scale)


def undefended(model: ImageTextModel) -> ImageTextModel:
    """Return the model behind all defences."""
    return undefended(model.model) if isinstance(model, DefendedModel) else model


def build_defended(spec: DefenceModel, context: BuildContext) -> DefendedModel:
    """Build a defence over another model of the suite.

    Raises:
        CellError: The base has no embeddings of images.
    """
    base = context.refer(spec.base)
    logits_only = isinstance(base, DefendedModel) and not base.embeds_images
    if isinstance(base, LanguageModel) or logits_only or not hasattr(base, "encode_image"):
        raise CellError(f"{spec.kind} over {spec.base!r}: allowed: models that embed images")
    module, _, name = spec.implementation.partition(":")
    defence: AnyDefence = getattr(import_module(module), name)(**spec.parameters())
    return DefendedModel(base, defence, spec.gradient)

"""Models behind a test-time defence of `radapt.defences`."""

from collections.abc import Sequence
from functools import lru_cache
from importlib import import_module

from torch import Tensor

from bench.core.errors import CellError
from bench.core.types import ImageTextModel
from bench.models.build_context import BuildContext
from bench.models.clip import ClipModel
from bench.models.language import LanguageModel
from bench.suite.specs.defences import DefenceModel
from radapt.defences.defence import Base, Defence, Defended, Gradient

_PROMPTS_KEPT = 4


class DefendedModel:
    """A model that embeds images and texts, with a defence in front of its image embeddings.

    Attributes:
        model: The model that is defended.
        defence: The defence.
        logit_scale: Factor on the cosine of image and text embeddings.
    """

    def __init__(
        self,
        model: ImageTextModel,
        defence: Defence,
        gradient: Gradient | None,
        classes: Tensor | None = None,
    ) -> None:
        """Combine a model and a defence.

        Args:
            model: The model.
            defence: The defence.
            gradient: How gradients are taken; the defence's usual way if None.
            classes: Text vectors of the classes, `[d,k]`, if they are known.
        """
        self.model = model
        self.defence = defence
        self.logit_scale = model.logit_scale
        texts = lru_cache(_PROMPTS_KEPT)(lambda prompts: model.encode_text(list(prompts)))
        base = Base(
            model.encode_image, lambda prompts: texts(tuple(prompts)), classes, model.logit_scale
        )
        self._defended = Defended(defence, base, gradient)

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
        """Return the same model for classes with the text vectors `[d,k]`."""
        inside = self.model
        if isinstance(inside, DefendedModel):
            inside = inside.with_classes(classes)
        return DefendedModel(inside, self.defence, self._defended.gradient, classes)

    def facts(self) -> dict[str, str]:
        """Return the properties of the built model that results report."""
        known = isinstance(self.model, ClipModel | DefendedModel)
        drawn = "random" if self.defence.random else "deterministic"
        return {
            **(self.model.facts() if known else {}),  # type: ignore[attr-defined]
            "defence": f"{drawn}, gradient: {self._defended.gradient}",
        }


def undefended(model: ImageTextModel) -> ImageTextModel:
    """Return the model behind all defences."""
    return undefended(model.model) if isinstance(model, DefendedModel) else model


def build_defended(spec: DefenceModel, context: BuildContext) -> DefendedModel:
    """Build a defence over another model of the suite.

    Raises:
        CellError: The base answers in words.
    """
    base = context.refer(spec.base)
    if isinstance(base, LanguageModel) or not hasattr(base, "encode_image"):
        raise CellError(f"{spec.kind} over {spec.base!r}: allowed: models that embed images")
    module, _, name = spec.implementation.partition(":")
    defence: Defence = getattr(import_module(module), name)(**spec.parameters())
    return DefendedModel(base, defence, spec.gradient)

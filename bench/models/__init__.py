"""Build the model that a spec declares: one that embeds images and texts, or one that answers."""

from collections.abc import Callable
from typing import Any

import torch

from bench.core.types import ImageTextModel
from bench.models.build_context import BuildContext
from bench.models.clip import ClipModel, Preprocessing
from bench.models.derived import build_graft, build_radapt
from bench.models.embedded_clip import build_nano
from bench.models.language import LanguageModel
from bench.models.language.build import build_language
from bench.models.language.tiny_models import build_tiny
from bench.models.open_clip_models import build_open_clip
from bench.models.python_model import build_python_model
from bench.models.transformers_clip import build_hugging_face
from bench.suite.specs import (
    GraftModel,
    HuggingFaceModel,
    LvlmModel,
    Model,
    NanoModel,
    OpenClipModel,
    PythonModel,
    RAdaptModel,
    Resize,
    TinyModel,
)

__all__ = ["ClipModel", "LanguageModel", "Preprocessing", "build_model"]

Builder = Callable[[Any, BuildContext], ImageTextModel | LanguageModel]  # the first is its spec

BUILDERS: dict[type[Model], Builder] = {
    NanoModel: build_nano,
    OpenClipModel: build_open_clip,
    HuggingFaceModel: build_hugging_face,
    LvlmModel: build_language,
    TinyModel: build_tiny,
    RAdaptModel: build_radapt,
    GraftModel: build_graft,
    PythonModel: build_python_model,
}


def build_model(
    spec: Model,
    device: torch.device,
    refer: Callable[[str], ImageTextModel | LanguageModel],
    *,
    resize: Resize | None = None,
    trust: bool = False,
) -> ImageTextModel | LanguageModel:
    """Build the model that a spec declares, frozen and in evaluation mode.

    Args:
        spec: The model.
        device: Where it runs.
        refer: Returns a model of the same suite by its name: an adapted or grafted model
            shares the weights of those it is made of.
        resize: How it brings images of another size to its own; the user's own models decide
            for themselves. Bicubic with antialiasing where None.
        trust: Whether code named by the suite may be imported.

    Raises:
        CellError: The model cannot be built, with a reason for the user.
    """
    context = BuildContext(device, refer, resize or Resize(), trust)
    return BUILDERS[type(spec)](spec, context)

"""Build the model that a spec declares: one that embeds images and texts, or one that answers."""

from collections.abc import Callable

import torch

from bench.core.types import ImageTextModel
from bench.models.clip import ClipModel, Preprocessing
from bench.models.derived import build_graft, build_radapt
from bench.models.embedded_clip import build_nano
from bench.models.language import LanguageModel, build_language, build_tiny
from bench.models.open_clip_models import build_open_clip
from bench.models.python_model import build_own
from bench.models.transformers_clip import build_hugging_face
from bench.suite.specs import (
    GraftModel,
    HuggingFaceModel,
    LvlmModel,
    ModelSpec,
    NanoModel,
    OpenClipModel,
    PythonModel,
    RAdaptModel,
    Resize,
    TinyModel,
)

__all__ = ["ClipModel", "LanguageModel", "Preprocessing", "build_model"]


def build_model(
    spec: ModelSpec,
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
    how = resize or Resize()
    match spec:
        case NanoModel():
            return build_nano(spec, device, how)
        case OpenClipModel():
            return build_open_clip(spec, device, how)
        case HuggingFaceModel():
            return build_hugging_face(spec, device, how)
        case LvlmModel():
            return build_language(spec, device, refer)
        case TinyModel():
            return build_tiny(spec, device)
        case RAdaptModel():
            return build_radapt(spec, device, refer)
        case GraftModel():
            return build_graft(spec, refer)
        case PythonModel():
            return build_own(spec, device, trust=trust)

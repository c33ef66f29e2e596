"""Builds the model that a spec declares: a CLIP-like model or a vision-language model."""

from collections.abc import Callable
from typing import Any

import torch

from bench.core.deadline import Check, unlimited
from bench.core.types import ImageTextModel
from bench.models.build_context import BuildContext
from bench.models.clip import ClipModel, Preprocessing
from bench.models.defended import DefendedLogits, DefendedModel, build_defended
from bench.models.derived import build_graft, build_radapt
from bench.models.embedded_clip import build_nano
from bench.models.language import LanguageModel
from bench.models.language.build import build_language
from bench.models.language.tiny_models import build_tiny
from bench.models.open_clip_models import build_open_clip
from bench.models.own_outputs import LogitsModel
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
from bench.suite.specs.defences import DEFENCES

__all__ = [
    "ClipModel",
    "DefendedLogits",
    "DefendedModel",
    "LanguageModel",
    "LogitsModel",
    "Preprocessing",
    "build_model",
]

# Any: the kind's spec
Builder = Callable[[Any, BuildContext], ImageTextModel | LanguageModel | LogitsModel]

BUILDERS: dict[type[Model], Builder] = {
    NanoModel: build_nano,
    OpenClipModel: build_open_clip,
    HuggingFaceModel: build_hugging_face,
    LvlmModel: build_language,
    TinyModel: build_tiny,
    RAdaptModel: build_radapt,
    GraftModel: build_graft,
    PythonModel: build_python_model,
    **dict.fromkeys(DEFENCES, build_defended),
}


def build_model(
    spec: Model,
    device: torch.device,
    refer: Callable[[str], ImageTextModel | LanguageModel],
    *,
    resize: Resize | None = None,
    trust: bool = False,
    check: Check = unlimited,
) -> ImageTextModel | LanguageModel | LogitsModel:
    """Build the model that a spec declares, frozen and in evaluation mode.

    Args:
        spec: The model's entry of the suite.
        device: Device that the model runs on.
        refer: Returns another model of the suite by its name. Adapted and grafted models share
            the weights of the models that they are made of.
        resize: How images of another size are resized to the model's input size; None is bicubic
            with antialiasing. Models of `kind: python` ignore it.
        trust: Whether code that the suite names may be imported.
        check: Checks the time limit.

    Raises:
        CellError: The model cannot be built.
    """
    context = BuildContext(device, refer, resize or Resize(), trust, check)
    return BUILDERS[type(spec)](spec, context)

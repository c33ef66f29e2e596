"""The inputs to building a model, other than its spec."""

from collections.abc import Callable
from dataclasses import dataclass

import torch

from bench.core.deadline import Check, unlimited
from bench.core.types import ImageTextModel
from bench.models.language import LanguageModel
from bench.suite.specs import Resize


@dataclass(frozen=True, slots=True)
class BuildContext:
    """The inputs to building a model, other than its spec.

    Attributes:
        device: Device that the model runs on.
        refer: Returns another model of the suite by its name. Adapted and grafted models share
            the weights of the models that they are made of.
        resize: How images of another size are resized to the model's input size. Models of
            `kind: python` ignore it.
        trust: Whether code that the suite names may be imported.
        check: Checks the time limit; called between the passes that make up a pass of the model.
    """

    device: torch.device
    refer: Callable[[str], ImageTextModel | LanguageModel]
    resize: Resize
    trust: bool
    check: Check = unlimited

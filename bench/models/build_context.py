"""What a model is built with, beside what its spec says."""

from collections.abc import Callable
from dataclasses import dataclass

import torch

from bench.core.types import ImageTextModel
from bench.models.language import LanguageModel
from bench.suite.specs import Resize


@dataclass(frozen=True, slots=True)
class BuildContext:
    """What a model is built with, beside what its spec says.

    Attributes:
        device: Where it runs.
        refer: Returns a model of the same suite by its name: an adapted or grafted model
            shares the weights of those it is made of.
        resize: How it brings images of another size to its own; the user's own models decide
            for themselves.
        trust: Whether code named by the suite may be imported.
    """

    device: torch.device
    refer: Callable[[str], ImageTextModel | LanguageModel]
    resize: Resize
    trust: bool

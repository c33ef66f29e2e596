"""Lower precision for attacks: they may propose images in bf16 or TF32; scoring is in fp32."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar, cast

import torch
from torch import Tensor

from bench.core.language_types import AnsweringModel, require_value_features
from bench.core.types import ImageTextModel
from bench.models.own_outputs import OwnLogits
from bench.suite.specs import Precision

T = TypeVar("T")


class Bfloat16Model:
    """A model whose image tower computes in bfloat16 and returns float32 embeddings.

    The logits are computed in float32: at the size of CLIP's logits, neighbouring bfloat16 values
    differ by 1/8.
    """

    def __init__(self, model: ImageTextModel, device: torch.device) -> None:
        """Wrap a model that runs on a device."""
        self.model = model
        self.device = device
        self.logit_scale = model.logit_scale

    def encode_image(self, images: Tensor) -> Tensor:
        """Map images `[b,3,h,w]` in [0,1] to embeddings `[b,d]`; differentiable."""
        with torch.autocast(self.device.type, torch.bfloat16):
            embeddings = self.model.encode_image(images)
        return embeddings.float()

    def value_features(self, images: Tensor, blocks: int) -> Tensor:
        """Return the value features of the last blocks, `[b,blocks,t,d]`; differentiable."""
        with torch.autocast(self.device.type, torch.bfloat16):
            values = require_value_features(self.model).value_features(images, blocks)
        return values.float()

    def encode_text(self, texts: Sequence[str]) -> Tensor:
        """Map n texts to embeddings `[n,d]`."""
        return self.model.encode_text(texts)


class Bfloat16Logits:
    """A model of logits that computes in bfloat16 and returns float32."""

    def __init__(self, model: OwnLogits, device: torch.device) -> None:
        """Wrap a model that runs on a device."""
        self.model = model
        self.device = device

    def logits(self, images: Tensor, classes: Sequence[str]) -> Tensor:
        """Map images `[b,3,h,w]` in [0,1] to logits of k classes, `[b,k]`; differentiable."""
        with torch.autocast(self.device.type, torch.bfloat16):
            return self.model.logits(images, classes)


class Bfloat16AnsweringModel:
    """An answering model that computes likelihoods and visual tokens in bfloat16."""

    def __init__(self, model: AnsweringModel, device: torch.device) -> None:
        """Wrap a model that runs on a device."""
        self.model = model
        self.device = device

    def log_likelihood(
        self, images: Tensor, prompts: Sequence[str], texts: Sequence[str]
    ) -> Tensor:
        """Return the log-likelihoods of texts, `[b]`; autocast computes the softmax in float32."""
        with torch.autocast(self.device.type, torch.bfloat16):
            found = self.model.log_likelihood(images, prompts, texts)
        return found.float()

    def visual_tokens(self, images: Tensor) -> Tensor:
        """Return the visual tokens of images, `[b,t,d]`."""
        with torch.autocast(self.device.type, torch.bfloat16):
            tokens = self.model.visual_tokens(images)
        return tokens.float()

    def answer(self, images: Tensor, prompts: Sequence[str], *, tokens: int) -> list[str]:
        """Return answers, in the model's own precision because they are scored."""
        return self.model.answer(images, prompts, tokens=tokens)


def in_bfloat16(model: T, device: torch.device) -> T:
    """Return a model of any kind that computes in bfloat16 where it is attacked."""
    match model:
        case OwnLogits():
            return cast(T, Bfloat16Logits(model, device))
        case AnsweringModel():
            return cast(T, Bfloat16AnsweringModel(model, device))
        case _:
            return cast(T, Bfloat16Model(cast(ImageTextModel, model), device))


@contextmanager
def matmul_precision(precision: Precision) -> Iterator[None]:
    """Let a GPU multiply in TF32 inside this context if the precision is `tf32`."""
    matmul, convolution = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    if precision == "tf32":
        torch.set_float32_matmul_precision("high")
        torch.backends.cudnn.allow_tf32 = True
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(matmul)
        torch.backends.cudnn.allow_tf32 = convolution

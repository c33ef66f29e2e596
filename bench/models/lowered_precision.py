"""Attacks at lower precision: a proposal may come from anywhere, for it is judged in fp32."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor

from bench.core.language_types import AnsweringModel, require_value_features
from bench.core.types import ImageTextModel
from bench.suite.specs import Precision


class Lowered:
    """A model whose image tower computes in bfloat16; its embeddings are float32 again.

    The logits are not lowered: at CLIP's scale, neighbouring bfloat16 values are an eighth apart.
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
        """Return value features of the last blocks `[b,blocks,t,d]`; differentiable."""
        with torch.autocast(self.device.type, torch.bfloat16):
            values = require_value_features(self.model).value_features(images, blocks)
        return values.float()

    def encode_text(self, texts: Sequence[str]) -> Tensor:
        """Map n texts to embeddings `[n,d]`."""
        return self.model.encode_text(texts)


class LoweredAnswers:
    """A model that answers in words, which computes likelihoods and visual tokens in bfloat16."""

    def __init__(self, model: AnsweringModel, device: torch.device) -> None:
        """Wrap a model that runs on a device."""
        self.model = model
        self.device = device

    def log_likelihood(
        self, images: Tensor, prompts: Sequence[str], texts: Sequence[str]
    ) -> Tensor:
        """Return the log-likelihoods of texts, `[b]`; autocast takes logarithms in float32."""
        with torch.autocast(self.device.type, torch.bfloat16):
            found = self.model.log_likelihood(images, prompts, texts)
        return found.float()

    def visual_tokens(self, images: Tensor) -> Tensor:
        """Return what the language model is given of images, `[b,t,d]`."""
        with torch.autocast(self.device.type, torch.bfloat16):
            tokens = self.model.visual_tokens(images)
        return tokens.float()

    def answer(self, images: Tensor, prompts: Sequence[str], *, tokens: int) -> list[str]:
        """Return answers in the model's own precision: they are what is judged."""
        return self.model.answer(images, prompts, tokens=tokens)


@contextmanager
def arithmetic(precision: Precision) -> Iterator[None]:
    """Let an accelerator multiply in TF32 for as long as this lasts, where that is asked for."""
    matmul, convolution = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    if precision == "tf32":
        torch.set_float32_matmul_precision("high")
        torch.backends.cudnn.allow_tf32 = True
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(matmul)
        torch.backends.cudnn.allow_tf32 = convolution

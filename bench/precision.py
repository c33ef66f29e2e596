"""Attacks at lower precision: a proposal may come from anywhere, for it is judged in fp32."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor

from bench.language import AnsweringModel, valued
from bench.specs import AnyAttack, NativeSpec, Precision
from bench.types import ImageTextModel, Mode


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
            values = valued(self.model).value_features(images, blocks)
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


def stages(attack: AnyAttack, mode: Mode) -> tuple[Precision, ...]:
    """Return the precisions at which an attack runs, each on what the earlier ones left.

    In mode `success` fp32 comes last, on all that low precision did not break as judged in
    fp32, and an image counts as robust only after it. A craft that others are scored on is
    made once.

    fp32 is the precision of the model as it was built. One that answers in words may be in half
    precision: the last run then computes much as the first, but goes on from its best point, about
    the reference that served best, and is no repetition.
    """
    if not isinstance(attack, NativeSpec) or attack.precision == "fp32":
        return ("fp32",)
    if mode == "success" and attack.confirm:
        return (attack.precision, "fp32")
    return (attack.precision,)

"""Faster passes with the same results up to floating-point error: compilation and layout."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from bench.core.errors import UserError
from bench.core.types import ImageTextModel
from bench.models.batch_size import Batch

_MOST_GRAPHS = 256  # torch's limit of 8 per method is too low: all models of a suite share it


class Compiled:
    """A model whose image tower is compiled for gradient passes of full batches.

    Other batch sizes are not compiled: compiling each takes longer than it saves, and a graph with
    dynamic sizes is not faster. Passes without gradients are not compiled either, so that
    compilation affects the attack only, never the scores.
    """

    def __init__(self, model: ImageTextModel, batch: Batch, backend: str = "inductor") -> None:
        """Wrap a model; its tower is compiled at the first full batch."""
        torch._dynamo.config.recompile_limit = _MOST_GRAPHS
        self.model = model
        self.batch = batch
        self.logit_scale = model.logit_scale
        self._compiled = torch.compile(model.encode_image, dynamic=False, backend=backend)

    def encode_image(self, images: Tensor) -> Tensor:
        """Map images `[b,3,h,w]` in [0,1] to embeddings `[b,d]`; differentiable."""
        if images.requires_grad and len(images) == self.batch.size:
            return self._compiled(images)
        return self.model.encode_image(images)

    def encode_text(self, texts: Sequence[str]) -> Tensor:
        """Map n texts to embeddings `[n,d]`."""
        return self.model.encode_text(texts)


def check_compiler(device: torch.device) -> None:
    """Raise UserError if torch cannot compile here; it needs a C++ compiler or Triton."""
    try:
        torch.compile(lambda x: x.sin().cos())(torch.ones(2, device=device))
    except Exception as error:  # the type depends on what is missing
        lines = [line for line in str(error).splitlines() if line.strip()]
        raise UserError(
            f"--compile: torch cannot compile for {device.type} here: {lines[0] if lines else ''} "
            f"({type(error).__name__}); a CPU needs a C++ compiler such as g++, a GPU Triton; "
            "install it, or run without --compile"
        ) from error


def use_channels_last(tower: nn.Module) -> str | None:
    """Convert a convolutional tower to the memory format `channels_last`.

    A vision transformer stays as it is: its only convolution cuts patches, so it would not be
    faster.

    Returns:
        `channels_last`, or None if the tower was not changed.
    """
    if sum(isinstance(module, nn.Conv2d) for module in tower.modules()) < 2:
        return None
    tower.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return "channels_last"

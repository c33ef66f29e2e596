"""What makes a model's passes faster and changes nothing beyond numerics."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from bench.core.errors import UserError
from bench.core.types import ImageTextModel
from bench.models.batch_size import Batch

_MOST_GRAPHS = 256  # torch gives a method up after 8, and all models of a suite share theirs


class Compiled:
    """A model whose image tower is compiled for gradients of full batches.

    All else runs as ever: other sizes, since each would be compiled for longer than it is
    used, and one graph for all of them gains nothing; and passes without gradients, so
    that compiling reaches what an attack proposes, never how it is judged.
    """

    def __init__(self, model: ImageTextModel, batch: Batch, backend: str = "inductor") -> None:
        """Wrap a model; its tower is compiled when the first full batch comes."""
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
    """Raise UserError where torch cannot compile, which takes a C++ compiler or Triton."""
    try:
        torch.compile(lambda x: x.sin().cos())(torch.ones(2, device=device))
    except Exception as error:  # one of many, by what is missing
        lines = [line for line in str(error).splitlines() if line.strip()]
        raise UserError(
            f"--compile: torch cannot compile for {device.type} here: {lines[0] if lines else ''} "
            f"({type(error).__name__}); a CPU needs a C++ compiler such as g++, a GPU Triton; "
            "without --compile all runs as ever"
        ) from error


def use_channels_last(tower: nn.Module) -> str | None:
    """Lay a convolutional tower's weights out in `channels_last`, and say so; else None.

    A vision transformer has one convolution, which cuts patches, and gains nothing.
    """
    if sum(isinstance(module, nn.Conv2d) for module in tower.modules()) < 2:
        return None
    tower.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return "channels_last"

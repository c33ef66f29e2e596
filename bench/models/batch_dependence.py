"""Finds models whose output for an image depends on the other images of its batch."""

from collections.abc import Callable

import torch
from torch import Tensor

from bench.core.errors import CellError

# Relative difference of two outputs. Roundings of bfloat16 are 0.4 % each, those of 8-bit
# activations with a scale per batch about 1 %, and both add up over the layers, so smaller
# differences say nothing. The trust battery judges them by their effect on the logits.
DIFFERENT = 0.1
_SAME = 1e-3  # float32 rounds less; two passes of a random model differ by more
_TIMES = (
    8  # comparisons: a random model whose passes mostly agree may look dependent in one of them
)


def require_independence(outputs: Callable[[Tensor], Tensor], image: Tensor, name: str) -> None:
    """Compute an image's output alone, and beside its negative; both must agree.

    A negative has other means and variances per channel than its image, so that normalisation over
    the batch shows. Models that give another output in every pass are left to the trust battery.
    The state of the random generators does not change.

    Args:
        outputs: Maps images `[b,3,h,w]` to the model's embeddings or logits, `[b,d]`.
        image: An image `[3,h,w]` in [0,1].
        name: Name of the model, for the message.

    Raises:
        CellError: The outputs differ by more than rounding errors.
    """
    pair = torch.stack([image, 1 - image])
    with torch.random.fork_rng([image.device] if image.is_cuda else []), torch.no_grad():
        alone = outputs(pair[:1].clone())[0].float()
        for _ in range(_TIMES):
            gap = _change(alone, outputs(pair.clone())[0].float())
            again = _change(alone, outputs(pair[:1].clone())[0].float())
            if not (gap > DIFFERENT and again <= _SAME):  # also where an output is not a number
                return
    raise CellError(
        f"{name!r} depends on its batch: the output for an image changes by {gap:.0%} when "
        "another image is in its batch; normalise no image by others, and put all modules in "
        "evaluation mode (`eval()`), not training mode"
    )


def _change(output: Tensor, other: Tensor) -> float:
    return float((other - output).norm() / output.norm())

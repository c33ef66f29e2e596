"""Finds models whose embedding of an image depends on the other images of its batch."""

import torch
from torch import Tensor

from bench.core.errors import CellError
from bench.core.types import ImageTextModel

# Relative difference of two embeddings. Roundings of bfloat16 are 0.4 % each, those of 8-bit
# activations with a scale per batch about 1 %, and both add up over the layers, so smaller
# differences say nothing. The trust battery judges them by their effect on the logits.
DIFFERENT = 0.1
_SAME = 1e-3  # float32 rounds less; two passes of a random model differ by more


def require_independence(model: ImageTextModel, image: Tensor, name: str) -> None:
    """Embed an image alone, and beside its negative; the embeddings must agree.

    A negative has other means and variances per channel than its image, so that normalisation over
    the batch shows. Models that give another embedding in every pass are left to the trust battery.
    The state of the random generators does not change.

    Args:
        model: The model.
        image: An image `[3,h,w]` in [0,1].
        name: Name of the model, for the message.

    Raises:
        CellError: The embeddings differ by more than rounding errors.
    """
    pair = torch.stack([image, 1 - image])
    with torch.random.fork_rng([image.device] if image.is_cuda else []), torch.no_grad():
        alone, again = (model.encode_image(pair[:1].clone())[0].float() for _ in range(2))
        together = model.encode_image(pair.clone())[0].float()
    size = alone.norm()
    gap = float((together - alone).norm() / size)
    if float((again - alone).norm() / size) <= _SAME and gap > DIFFERENT:
        raise CellError(
            f"{name!r} depends on its batch: the embedding of an image changes by {gap:.0%} when "
            "another image is in its batch; normalise no image by others, and put all modules in "
            "evaluation mode (`eval()`), not training mode"
        )

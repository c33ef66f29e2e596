"""CLIPure-Cos: purification of the embedding (Zhang et al. 2025, arXiv:2502.18176)."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from radapt.defences.defence import Base, Defence

_SMALLEST = 1e-12


@dataclass(frozen=True, slots=True)
class ClipureCos(Defence):
    """Move the embedding's direction towards the embedding of a prompt without a class name.

    Each step goes along the gradient of the cosine with the empty prompt, scaled to norm 1, and
    back to the unit sphere. The gradient has a closed form, so the whole is differentiable.

    The defaults are of TMLResearchGroup-CAS/CLIPure. There the gradient is scaled by its norm over
    the whole batch; here by each image's, so that a result does not depend on the batch. A step
    of 30 on the unit sphere overshoots by almost 90 degrees.

    Attributes:
        steps: Number of steps; 0 for no change of direction.
        step: Step size on the unit sphere.
        prompts: The prompts, `{c}` for the missing class name; their embeddings are averaged.
    """

    steps: int = 10
    step: float = 30.0
    prompts: tuple[str, ...] = ("a photo of a {c}.",)

    def embed(self, base: Base, images: Tensor) -> Tensor:
        """Return purified embeddings of the same norm, `[b,d]`.

        Raises:
            ValueError: The base has no text encoder.
        """
        if base.embed_texts is None:
            raise ValueError("CLIPure needs the base's text encoder")
        given = base.embed(images)
        with torch.no_grad():
            empty = [prompt.replace("{c}", "") for prompt in self.prompts]
            texts = F.normalize(base.embed_texts(empty), dim=1)
            target = F.normalize(texts.mean(dim=0), dim=0)
        direction, length = F.normalize(given, dim=1), given.norm(dim=1, keepdim=True)
        for _ in range(self.steps):
            cosine = (direction @ target)[:, None]
            # the gradient of the cosine, in the plane that touches the sphere
            uphill = F.normalize(target - cosine * direction, dim=1, eps=_SMALLEST)
            direction = F.normalize(direction + self.step * uphill, dim=1)
        return direction.mul(length)

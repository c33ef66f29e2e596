"""A small model that answers with one word, from the pooled image, for tests of attacks."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

WORDS = (
    *("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"),
    *("yes", "no", "maybe"),
)


class Speaker(nn.Module):
    """Says the likeliest of `WORDS`; other texts count as the last of them."""

    def __init__(self, device: torch.device, seed: int = 0) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.weight = nn.Parameter(torch.randn(len(WORDS), 4 * 12, generator=generator).to(device))

    def visual_tokens(self, images: Tensor) -> Tensor:
        pooled = F.adaptive_avg_pool2d(images, 4) - 0.5
        return pooled.flatten(2).transpose(1, 2).reshape(len(images), 4, 12)

    def _words(self, images: Tensor, prompts: Sequence[str]) -> Tensor:
        tilt = torch.tensor([len(prompt) % 7 / 7 for prompt in prompts], device=images.device)
        logits = self.visual_tokens(images).flatten(1) @ self.weight.T
        return (4 * logits + tilt[:, None]).log_softmax(dim=1)

    def log_likelihood(
        self, images: Tensor, prompts: Sequence[str], texts: Sequence[str]
    ) -> Tensor:
        places = [WORDS.index(text) if text in WORDS else len(WORDS) - 1 for text in texts]
        where = torch.tensor(places, device=images.device)
        return self._words(images, prompts).gather(1, where[:, None]).squeeze(1)

    def answer(self, images: Tensor, prompts: Sequence[str], *, tokens: int) -> list[str]:
        with torch.no_grad():
            return [WORDS[place] for place in self._words(images, prompts).argmax(dim=1).tolist()]


class Agreeable(Speaker):
    """Says `Yes` to everything, in capital letters as vision-language models write."""

    def answer(self, images: Tensor, prompts: Sequence[str], *, tokens: int) -> list[str]:
        return ["Yes"] * len(images)

"""Tiny models whose weights come from a formula and a few embedded images: nothing is drawn.

Both know the images that the suites of `outcomes.yaml` attack, so that attacks have work to do.
"""

from collections.abc import Sequence
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.data import index_dataset, load_images
from bench.suite.specs import NanoDataset

SAMPLES = 8
WORDS = (
    *("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"),
    *("yes", "no", "maybe", "a boat is no boathouse"),
)
_SIDE, _WIDTH = 4, 16  # patches of a side; numbers of an embedding


@cache
def known() -> tuple[Tensor, Tensor]:
    """Return the images `[8,3,32,32]` in [0,1] that the models know, and their labels `[8]`."""
    spec = NanoDataset(name="cifar10")
    data = load_images(spec, index_dataset(spec, SAMPLES, 0).sample_ids, "native")
    return torch.from_numpy(data.images).float() / 255, torch.from_numpy(data.labels)


class TinyClip(nn.Module):
    """Embeds pooled images by two layers, and a text as the images of the class that it names."""

    def __init__(self, device: torch.device) -> None:
        super().__init__()
        self.first = nn.Parameter(_weights(3 * _SIDE**2, 24, 0.1).to(device))
        self.second = nn.Parameter(_weights(24, _WIDTH, 0.2).to(device))
        self.patch = nn.Parameter(_weights(3, _WIDTH, 0.3).to(device))
        self.logit_scale = torch.tensor(30.0, device=device)

    def encode_image(self, images: Tensor) -> Tensor:
        return torch.tanh(_pooled(images).flatten(1) @ self.first) @ self.second

    def encode_text(self, texts: Sequence[str]) -> Tensor:
        return torch.stack([self._text(text) for text in texts])

    def _text(self, text: str) -> Tensor:
        images, labels = known()
        named = [place for place, name in enumerate(WORDS[:10]) if name in text]
        shown = torch.isin(labels, torch.tensor(named, dtype=labels.dtype))
        letters = float(sum(ord(sign) * (at + 1) for at, sign in enumerate(text)))
        own = torch.sin(letters * torch.arange(1, _WIDTH + 1, dtype=torch.float64)).float()
        device = self.first.device
        if not shown.any():
            return own.to(device)
        found = self.encode_image(images[shown].to(device)).mean(dim=0)
        return F.normalize(found, dim=0) + 0.2 * F.normalize(own, dim=0).to(device)

    def value_features(self, images: Tensor, blocks: int) -> Tensor:
        """Return each patch's colours, mixed, as its value feature `[b,blocks,t,d]`."""
        found = F.normalize(torch.tanh(3 * _pooled(images).transpose(1, 2)) @ self.patch, dim=-1)
        return found[:, None].expand(-1, blocks, -1, -1)


class TinySpeaker(nn.Module):
    """Says one of `WORDS`; a text that it does not know counts as the last of them."""

    def __init__(self, device: torch.device) -> None:
        super().__init__()
        images, labels = known()
        weight = 0.3 * F.normalize(_weights(len(WORDS), 3 * _SIDE**2, 0.4), dim=1)
        for image, label in zip(_pooled(images).flatten(1), labels.tolist(), strict=True):
            weight[label] += 0.5 * F.normalize(image, dim=0)
        self.weight = nn.Parameter(weight.to(device))

    def visual_tokens(self, images: Tensor) -> Tensor:
        return _pooled(images).transpose(1, 2)

    def _words(self, images: Tensor, prompts: Sequence[str]) -> Tensor:
        logits = 4 * _pooled(images).flatten(1) @ self.weight.T
        tilt = torch.tensor([len(prompt) % 7 / 7 for prompt in prompts], device=images.device)
        shift = torch.zeros_like(logits)
        shift[:, WORDS.index("yes")] = tilt  # so that what is asked counts
        return (logits + shift).log_softmax(dim=1)

    def log_likelihood(
        self, images: Tensor, prompts: Sequence[str], texts: Sequence[str]
    ) -> Tensor:
        places = [WORDS.index(text) if text in WORDS else len(WORDS) - 1 for text in texts]
        where = torch.tensor(places, device=images.device)
        return self._words(images, prompts).gather(1, where[:, None]).squeeze(1)

    def answer(self, images: Tensor, prompts: Sequence[str], *, tokens: int) -> list[str]:
        with torch.no_grad():
            return [WORDS[place] for place in self._words(images, prompts).argmax(dim=1).tolist()]


def _weights(rows: int, columns: int, phase: float) -> Tensor:
    place = torch.arange(rows * columns, dtype=torch.float64)
    return torch.sin(place * place * 0.37 + phase).reshape(rows, columns).float()


def _pooled(images: Tensor) -> Tensor:
    """Return the mean colours of patches less a half, `[b,3,16]`."""
    return F.adaptive_avg_pool2d(images, _SIDE).flatten(2) - 0.5

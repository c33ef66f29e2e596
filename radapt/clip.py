"""The CLIP that a command line names: its vision tower, its text encoder, its normalisation."""

import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from radapt.class_folders import is_wordnet_id
from radapt.compat import ensure_torchvision
from radapt.from_open_clip import load_open_clip
from radapt.state_dicts import load_tower
from radapt.tower import normalisation

REFERENCE = (
    "NAME:PRETRAINED of open_clip (ViT-L-14-quickgelu:openai; PRETRAINED a tag or a file), "
    "NAME:PRETRAINED:TOWER with the weights of a vision tower over it, hf-hub:ORG/NAME, or "
    "python:PACKAGE.MODULE:FUNCTION[:ARGUMENT] returning an open_clip model and its tokenizer"
)


@dataclass(frozen=True, slots=True)
class Clip:
    """A frozen CLIP.

    Attributes:
        tower: The vision tower, taking normalised pixels.
        encode: Maps texts to embeddings, `[n,d]`.
        scale: Factor on cosine similarities.
        mean: Mean of the tower's normalisation, per channel.
        std: Deviation of the tower's normalisation, per channel.
        name: How it was named.
    """

    tower: nn.Module
    encode: Callable[[Sequence[str]], Tensor]
    scale: float
    mean: tuple[float, ...]
    std: tuple[float, ...]
    name: str

    def classes(self, names: Sequence[str], template: str) -> Tensor:
        """Return normalised class vectors, `[k,d]`, of names put for `{c}` in a template.

        ImageNet's 1,000 folders, called by WordNet ids, stand for CLIP's names of them.

        Raises:
            ValueError: Some names are WordNet ids, and not all of ImageNet's.
        """
        words = _words(names)
        return F.normalize(self.encode([template.replace("{c}", name) for name in words]), dim=1)


def _words(names: Sequence[str]) -> Sequence[str]:
    ids = [name for name in names if is_wordnet_id(name)]
    if not ids:
        return names
    if len(ids) == len(names) == 1000 and ids == sorted(ids):
        ensure_torchvision()
        from open_clip import IMAGENET_CLASSNAMES

        return IMAGENET_CLASSNAMES  # type: ignore[no-any-return]
    raise ValueError(
        f"class names: got {ids[0]!r}, a WordNet id and no word; list the names, one per line in "
        "the order of the folders, in classnames.txt beside them"
    )


def load_clip(reference: str, device: torch.device | str = "cpu") -> Clip:
    """Load the CLIP that a reference names.

    Args:
        reference: See `REFERENCE`.
        device: Where it shall run.

    Raises:
        ValueError: It cannot be loaded.
    """
    model, tokenizer = _python(reference) if reference.startswith("python:") else _named(reference)
    return frozen(model, tokenizer, device, reference)


def frozen(model: Any, tokenizer: Any, device: torch.device | str, name: str) -> Clip:
    """Return an open_clip model and its tokenizer as a frozen CLIP on a device.

    Args:
        model: The model.
        tokenizer: Maps a list of texts to tokens, `[n,length]`.
        device: Where it shall run.
        name: How it is called.
    """
    model = model.to(device).eval().requires_grad_(False)

    def encode(texts: Sequence[str]) -> Tensor:
        with torch.no_grad():
            return model.encode_text(tokenizer(list(texts)).to(device))  # type: ignore[no-any-return]

    mean, std = normalisation(model.visual)
    return Clip(model.visual, encode, float(model.logit_scale.exp()), mean, std, name)


def _python(reference: str) -> tuple[Any, Any]:
    module, _, rest = reference.removeprefix("python:").partition(":")
    function, _, argument = rest.partition(":")
    try:
        factory = getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError, ValueError) as error:
        raise ValueError(f"{reference}: {error}; allowed is {REFERENCE}") from error
    return factory(argument) if argument else factory()  # type: ignore[no-any-return]


def _named(reference: str) -> tuple[Any, Any]:
    if reference.startswith("hf-hub:"):
        name, pretrained, tower = reference, "", ""
    else:
        name, pretrained, tower = [*reference.split(":", 2), "", ""][:3]
        if not pretrained:
            raise ValueError(f"{reference}: names no weights; allowed is {REFERENCE}")
    try:
        model, tokenizer = load_open_clip(name, pretrained or None)
    except Exception as error:  # open_clip raises many kinds for one cause: it cannot be loaded
        raise ValueError(f"{reference}: cannot be loaded: {error}") from error
    if tower:
        load_tower(model.visual, Path(tower))
    return model, tokenizer

"""Load a frozen CLIP by name: its vision tower, text encoder and normalisation."""

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
from radapt.file_settings import UNSET, FileSettings, MeanStd, undecided
from radapt.from_open_clip import load_open_clip
from radapt.state_dicts import load_tower
from radapt.tower import normalisation

REFERENCE = (
    "NAME:PRETRAINED of open_clip (ViT-L-14-quickgelu:openai; PRETRAINED is a tag or a file), "
    "NAME:PRETRAINED:TOWER to load a vision tower's weights from the file TOWER after it, "
    "hf-hub:ORG/NAME, or python:PACKAGE.MODULE:FUNCTION[:ARGUMENT], a function that returns an "
    "open_clip model and its tokenizer"
)


@dataclass(frozen=True, slots=True)
class Clip:
    """A frozen CLIP.

    Attributes:
        tower: The vision tower; its inputs are normalised pixels.
        encode: Maps texts to embeddings `[n,d]`.
        scale: Logit scale: the factor on cosine similarities.
        mean: Mean of the tower's normalisation per channel.
        std: Standard deviation of the tower's normalisation per channel.
        name: Name given by the user.
    """

    tower: nn.Module
    encode: Callable[[Sequence[str]], Tensor]
    scale: float
    mean: tuple[float, ...]
    std: tuple[float, ...]
    name: str

    def classes(self, names: Sequence[str], template: str) -> Tensor:
        """Return normalised class vectors `[k,d]`, with `{c}` in the template replaced by names.

        If the names are ImageNet's 1,000 WordNet ids, CLIP's names of these classes are used.

        Raises:
            ValueError: Some names are WordNet ids, but they are not all of ImageNet's.
        """
        names = _class_names(names)
        return F.normalize(self.encode([template.replace("{c}", name) for name in names]), dim=1)


def _class_names(names: Sequence[str]) -> Sequence[str]:
    ids = [name for name in names if is_wordnet_id(name)]
    if not ids:
        return names
    if len(ids) == len(names) == 1000 and ids == sorted(ids):
        ensure_torchvision()
        from open_clip import IMAGENET_CLASSNAMES

        return IMAGENET_CLASSNAMES  # type: ignore[no-any-return]
    raise ValueError(
        f"class names: got {ids[0]!r}, a WordNet id instead of a name; list the names, one per "
        "line in the order of the folders, in classnames.txt beside the folders"
    )


def load_clip(
    reference: str,
    device: torch.device | str = "cpu",
    settings: FileSettings = UNSET,
) -> Clip:
    """Load a CLIP by its reference.

    Args:
        reference: See `REFERENCE`.
        device: Device of the model.
        settings: Used if PRETRAINED is a file. Other models have their own settings.

    Raises:
        ValueError: The model cannot be loaded, or a file needs settings that are not given.
    """
    if reference.startswith("python:"):
        model, tokenizer = _python(reference)
    else:
        model, tokenizer = _named(reference, settings)
    return frozen(model, tokenizer, device, reference)


def frozen(model: Any, tokenizer: Any, device: torch.device | str, name: str) -> Clip:
    """Return an open_clip model and its tokenizer as a frozen CLIP on a device.

    Args:
        model: The open_clip model.
        tokenizer: Maps a list of texts to tokens `[n,length]`.
        device: Device of the model.
        name: Name of the model.
    """
    model = model.to(device).eval().requires_grad_(False)

    def encode(texts: Sequence[str]) -> Tensor:
        # the weights are frozen, so a gradient exists only if a hook puts one in
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


def _named(reference: str, settings: FileSettings) -> tuple[Any, Any]:
    if reference.startswith("hf-hub:"):
        name, pretrained, tower = reference, "", ""
    else:
        name, pretrained, tower = [*reference.split(":", 2), "", ""][:3]
        if not pretrained:
            raise ValueError(f"{reference}: gives no PRETRAINED; allowed is {REFERENCE}")
    if Path(pretrained).is_file():
        _refuse_undecided(reference, name, settings)
    else:
        settings = UNSET
    try:
        model, tokenizer = load_open_clip(name, pretrained or None, settings)
    except Exception as error:  # open_clip raises many kinds of errors if a model cannot be loaded
        raise ValueError(f"{reference}: cannot be loaded: {error}") from error
    if tower:
        load_tower(model.visual, Path(tower))
    return model, tokenizer


def _refuse_undecided(reference: str, name: str, settings: FileSettings) -> None:
    """Raise an error with the options that decide what a file of weights does not contain."""

    def normalisation(value: MeanStd) -> str:
        mean, std = (" ".join(map(str, numbers)) for numbers in value)
        return f"--mean {mean} --std {std}"

    missing = undecided(
        name,
        None if settings.normalisation else normalisation,
        None if settings.activation else "--activation {}".format,
    )
    if missing:
        raise ValueError(f"{reference}: {missing}")

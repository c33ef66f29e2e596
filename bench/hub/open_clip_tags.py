"""What open_clip knows by name: configurations of models, and pretrained tags of weights."""

from pathlib import Path
from typing import Any

from bench.core.errors import CellError


def builtin_config(name: str) -> dict[str, Any]:
    """Return the configuration of a model that open_clip knows by name; empty if unknown."""
    from radapt.compat import ensure_torchvision  # here, since it imports torch

    ensure_torchvision()
    from open_clip import factory

    return factory.get_model_config(name.replace("/", "-")) or {}


def published_tag(name: str, tag: str) -> dict[str, Any]:
    """Return open_clip's configuration of a pretrained tag.

    Raises:
        CellError: The model or tag does not exist, or the weights need a different activation.
    """
    from radapt.from_open_clip import pretrained_tag  # here, since it imports torch

    if "/" in tag or "." in tag:  # no tag has these
        raise CellError(f"{tag}: no such file; allowed: a file of weights, or a tag of {name}")
    try:
        return pretrained_tag(name, tag)
    except ValueError as error:
        raise CellError(str(error)) from error


def download_tag(name: str, tag: str) -> Path:
    """Return the file of a tag that is not on the hub; open_clip downloads it if it is missing.

    Raises:
        CellError: The file cannot be downloaded.
    """
    from open_clip.pretrained import download_pretrained

    try:
        return Path(download_pretrained(published_tag(name, tag)))
    except Exception as error:  # open_clip raises many kinds of network errors
        raise CellError(f"{name}: the weights {tag!r} cannot be downloaded: {error}") from error

"""What several commands share: naming models, finding images, writing files."""

import argparse
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from radapt.clip import REFERENCE, Clip, load_clip
from radapt.images import Images, open_images
from radapt.tower import image_size

Commands = Any  # argparse keeps the type of its sub-parsers to itself


def command(commands: Commands, name: str, help_: str, example: str) -> argparse.ArgumentParser:
    """Add a command whose help shows an example."""
    parser: argparse.ArgumentParser = commands.add_parser(
        name,
        help=help_,
        description=help_,
        epilog=f"example:\n{example}\n\nMODEL is {REFERENCE}.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    return parser


def add_model(parser: argparse.ArgumentParser) -> None:
    """Add the options that name a model and a device."""
    parser.add_argument("--model", required=True, metavar="MODEL")
    add_device(parser)


def add_device(parser: argparse.ArgumentParser) -> None:
    """Add the option that names a device."""
    best = "cuda" if torch.cuda.is_available() else "cpu"
    parser.add_argument("--device", type=_device, default=best, help="default here: %(default)s")


def _device(name: str) -> str:
    try:
        torch.empty(0, device=name)
    except (RuntimeError, AssertionError) as error:  # by what is missing
        reason = str(error).splitlines()[0]
        raise argparse.ArgumentTypeError(f"got {name!r}, which cannot be used: {reason}") from None
    return name


def positive(text: str) -> int:
    """Read a whole number of at least 1."""
    if not text.isdigit() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"got {text!r}; a positive whole number is needed")
    return int(text)


def add_images(parser: argparse.ArgumentParser, count: int) -> None:
    """Add the options that name images."""
    parser.add_argument(
        "--data", type=Path, required=True, help="class folders, or webdataset shards"
    )
    parser.add_argument("--split", default="train", help="folder in it (default: train)")
    parser.add_argument(
        "--images", type=positive, default=count, help=f"how many (default: {count})"
    )
    parser.add_argument("--seed", type=int, default=0)


def images_for(options: argparse.Namespace, clip: Clip) -> tuple[Images, Tensor, Tensor]:
    """Return all images, and those that the options ask for with their labels."""
    images = open_images(options.data, image_size(clip.tower), options.split)
    return images, *images.take(options.images, options.seed)


def named_clip(text: str, device: str) -> tuple[str, Clip]:
    """Load `LABEL=MODEL`, or `MODEL`, and return its label with it."""
    label, equals, reference = text.partition("=")
    if not equals or ":" in label or "/" in label:
        label, reference = text, text
    return label, load_clip(reference, device)


def prepared(path: Path) -> Path:
    """Return a path whose folder exists."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return path

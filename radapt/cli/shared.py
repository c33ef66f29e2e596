"""Options and helpers that several commands share: models, devices, images, output files."""

import argparse
import math
from pathlib import Path
from typing import Any, get_args

import torch
from torch import Tensor

from radapt.activations import Activation
from radapt.clip import REFERENCE, Clip, load_clip
from radapt.file_settings import FileSettings
from radapt.images import Images, open_images
from radapt.tower import image_size

Commands = Any  # argparse's type of sub-parsers is private


def command(commands: Commands, name: str, help_: str, example: str) -> argparse.ArgumentParser:
    """Add a command, with an example in its help text."""
    parser: argparse.ArgumentParser = commands.add_parser(
        name,
        help=help_,
        description=help_,
        epilog=f"example:\n{example}\n\nMODEL is {REFERENCE}.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    return parser


def add_model(parser: argparse.ArgumentParser, metavar: str = "MODEL") -> None:
    """Add the option `--model`, and those for what a file of weights does not contain."""
    parser.add_argument("--model", required=True, metavar=metavar)
    files = parser.add_argument_group(
        "weights in a file",
        "If PRETRAINED is a file: it contains neither the normalisation nor the activation.",
    )
    for name, what in (("mean", "mean"), ("std", "standard deviation")):
        files.add_argument(
            f"--{name}", nargs=3, type=float, metavar=("R", "G", "B"),
            help=f"{what} of images in [0,1], per channel (default: CLIP's)",
        )  # fmt: skip
    files.add_argument(
        "--activation", choices=get_args(Activation), help="default: that of the model NAME"
    )


def model_of(options: argparse.Namespace, device: torch.device | str) -> Clip:
    """Load the model of `--model`."""
    return load_clip(options.model, device, file_settings(options))


def file_settings(options: argparse.Namespace) -> FileSettings:
    """Return the options for what a file of weights does not contain.

    Raises:
        ValueError: A normalisation is incomplete, or divides by zero.
    """
    mean, std = options.mean, options.std
    if mean is None and std is None:
        return FileSettings(None, options.activation)
    if mean is None or std is None:
        raise ValueError("--mean and --std: got only one of them; both are needed")
    if not all(map(math.isfinite, (*mean, *std))) or min(std) <= 0:
        raise ValueError(f"--mean and --std: got {mean} and {std}; allowed: numbers, std above 0")
    return FileSettings((tuple(mean), tuple(std)), options.activation)


def add_device(parser: argparse.ArgumentParser) -> None:
    """Add the option `--device`."""
    best = "cuda" if torch.cuda.is_available() else "cpu"
    parser.add_argument("--device", type=_device, default=best, help="default here: %(default)s")


def _device(name: str) -> str:
    try:
        torch.empty(0, device=name)
    except (RuntimeError, AssertionError) as error:  # the kind depends on the missing backend
        reason = str(error).splitlines()[0]
        raise argparse.ArgumentTypeError(f"got {name!r}, which cannot be used: {reason}") from None
    return name


def positive(text: str) -> int:
    """Parse an integer of at least 1."""
    if not text.isdigit() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"got {text!r}; allowed: a positive integer")
    return int(text)


def add_images(parser: argparse.ArgumentParser, count: int) -> None:
    """Add the options `--data`, `--split`, `--images` and `--seed`."""
    parser.add_argument(
        "--data", type=Path, required=True, help="class folders, or webdataset shards"
    )
    parser.add_argument("--split", default="train", help="folder of the split (default: train)")
    parser.add_argument(
        "--images", type=positive, default=count, help=f"number of images (default: {count})"
    )
    parser.add_argument("--seed", type=int, default=0)


def images_for(options: argparse.Namespace, clip: Clip) -> tuple[Images, Tensor, Tensor]:
    """Return all images, and a sample of images `[n,3,h,w]` and labels `[n]`."""
    images = open_images(options.data, image_size(clip.tower), options.split)
    return images, *images.take(options.images, options.seed)


def named_clip(text: str, options: argparse.Namespace) -> tuple[str, Clip]:
    """Load `LABEL=MODEL` or `MODEL`; return the label (by default MODEL) and the model."""
    label, equals, reference = text.partition("=")
    if not equals or ":" in label or "/" in label:
        label, reference = text, text
    return label, load_clip(reference, options.device, file_settings(options))


def prepared(path: Path) -> Path:
    """Make the folder of a path, and return the path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return path

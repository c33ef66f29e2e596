"""Decodes images to RGB arrays and resizes them, as CLIP's preprocessing does."""

from functools import cache
from pathlib import Path

import numpy as np
import PIL
from numpy.typing import NDArray
from PIL import Image, features

from bench.core.digests import hash_files, hash_folder
from bench.data.split import cell_errors
from bench.suite.specs import Pixels
from radapt import pictures, shards
from radapt.pictures import opened, to_rgb

_LIBRARIES = ("libjpeg_turbo", "jpg", "webp", "libtiff", "zlib")  # that Pillow decodes with


def decode(data: bytes, pixels: Pixels | str, place: str) -> NDArray[np.uint8]:
    """Decode an image to RGB, `[3,h,w]`, and resize it.

    The image is converted to RGB before it is resized, as in CLIP_benchmark's webdatasets and
    Hugging Face's CLIP.

    Args:
        data: The encoded image.
        pixels: Size to resize to, or `native` to keep the original size.
        place: Location of the image, for messages.

    Raises:
        CellError: The image cannot be decoded.
    """
    with cell_errors(), opened(data, place) as image:
        rgb = to_rgb(image)
    if isinstance(pixels, Pixels):
        rgb = fit(rgb, pixels)
    return np.ascontiguousarray(np.asarray(rgb).transpose(2, 0, 1))


def fit(image: Image.Image, pixels: Pixels) -> Image.Image:
    """Resize an image to a square, as torchvision's Resize and CenterCrop do with PIL images."""
    size, kernel = pixels.size, Image.Resampling[pixels.kernel.upper()]
    if pixels.fit == "squash":
        return image.resize((size, size), kernel)
    width, height = image.size
    short, target = min(width, height), pixels.short or size
    image = image.resize((target * width // short, target * height // short), kernel)
    left = round((image.width - size) / 2)
    top = round((image.height - size) / 2)
    return image.crop((left, top, left + size, top + size))


def size_of(data: bytes) -> tuple[int, int]:
    """Return height and width of an encoded image; only its header is read.

    Raises:
        ValueError: The image cannot be read.
    """
    with opened(data, "the first image") as image:
        return image.height, image.width


@cache
def decoder() -> str:
    """Return what decoded pixels depend on beside the encoded images: code and libraries."""
    code = hash_folder(Path(__file__).parent, ".py")
    other = hash_files([Path(pictures.__file__), Path(shards.__file__)])
    libraries = {name: features.version(name) for name in _LIBRARIES}
    return f"{code} {other} Pillow {PIL.__version__} {libraries}"

"""Encoded images to arrays of one size, as CLIP sees them."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bench.data.split import cell_errors
from bench.suite.specs import Pixels
from radapt.pictures import opened


def decode(data: bytes, pixels: Pixels | str, place: str) -> NDArray[np.uint8]:
    """Decode an image to RGB, `[3,h,w]`, and resize it.

    Colour comes before size, as in CLIP_benchmark's webdatasets and Hugging Face's CLIP.

    Args:
        data: The encoded image.
        pixels: The size, or `native` to keep its own.
        place: Where the image is, for messages.

    Raises:
        CellError: It cannot be decoded.
    """
    with cell_errors(), opened(data, place) as image:
        picture = to_rgb(image)
    if isinstance(pixels, Pixels):
        picture = fit(picture, pixels)
    return np.ascontiguousarray(np.asarray(picture).transpose(2, 0, 1))


def to_rgb(image: Image.Image) -> Image.Image:
    """Convert any mode to RGB as PIL does: grey is repeated, transparency dropped, CMYK inverted.

    One mode differs: PIL cuts 16-bit grey at 255, which leaves white; here it keeps its upper
    eight bits.
    """
    if image.mode.startswith("I"):
        upper = np.asarray(image).astype(np.int64) >> 8
        return Image.fromarray(upper.clip(0, 255).astype(np.uint8)).convert("RGB")
    if image.mode == "P" and "transparency" in image.info:
        image = image.convert("RGBA")  # PIL warns of the direct way, which gives the same colours
    return image.convert("RGB")


def fit(image: Image.Image, pixels: Pixels) -> Image.Image:
    """Resize an image to a square, as torchvision's Resize and CenterCrop do on PIL images."""
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
    """Return height and width, from the header alone.

    Raises:
        ValueError: The image cannot be read.
    """
    with opened(data, "the first image") as image:
        return image.height, image.width

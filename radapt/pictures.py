"""Open encoded images and convert them to RGB.

No other module opens images, because images may come from anyone.

Pillow chooses the format by an image's content, not by its file name, and starts Ghostscript for
PostScript. So only formats are allowed that Pillow decodes without another program.
"""

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from PIL import (
    Image,
    TiffImagePlugin,  # noqa: F401  # otherwise Pillow imports all its plugins to look for the two
    UnidentifiedImageError,
    WebPImagePlugin,  # noqa: F401
)

# The formats of torchvision's ImageFolder, and GIF; the MPO files of cameras open as JPEG.
# JPEG 2000 and AVIF are left out: no supported dataset has them, and each is a decoder to trust.
FORMATS = ("JPEG", "PNG", "PPM", "BMP", "TIFF", "WEBP", "GIF")


@contextmanager
def opened(data: bytes, place: str) -> Iterator[Image.Image]:
    """Open an encoded image; its pixels are decoded at their first use inside the `with` block.

    Args:
        data: The encoded image.
        place: Location of the image, for messages.

    Raises:
        ValueError: The format is not allowed, the image is damaged, or it has more pixels than
            `PIL.Image.MAX_IMAGE_PIXELS`, for which Pillow only warns. Errors inside the block
            are raised as ValueError too.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            image = Image.open(io.BytesIO(data), formats=FORMATS)
        with image:
            yield image
    except UnidentifiedImageError as error:
        reason = f"allowed formats: {', '.join(FORMATS)}"
        raise ValueError(f"{place}: the image cannot be decoded ({reason})") from error
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        most = Image.MAX_IMAGE_PIXELS
        raise ValueError(
            f"{place}: the image cannot be decoded (it has more than {most:,} pixels, which could "
            "fill the memory; make it smaller)"
        ) from error
    except (OSError, SyntaxError, ValueError) as error:
        raise ValueError(f"{place}: the image cannot be decoded ({error})") from error


def to_rgb(image: Image.Image) -> Image.Image:
    """Convert any mode to RGB as PIL does: repeat grey, drop transparency, invert CMYK.

    16-bit grey is the exception: PIL clips it at 255, so that images become white. Here the upper
    eight bits are kept.

    Raises:
        ValueError: The pixels are floating-point numbers, as TIFF allows. Their range is unknown,
            and PIL would clip them at 0 and 255, so that values in [0,1] become black.
    """
    if image.mode == "F":
        raise ValueError("its pixels are floating-point numbers; save it with 8 or 16 bits")
    if image.mode.startswith("I"):
        upper = np.asarray(image).astype(np.int64) >> 8
        return Image.fromarray(upper.clip(0, 255).astype(np.uint8)).convert("RGB")
    if image.mode == "P" and "transparency" in image.info:
        image = image.convert("RGBA")  # same colours; a direct conversion makes PIL warn
    return image.convert("RGB")

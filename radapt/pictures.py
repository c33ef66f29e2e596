"""Open encoded images. No other module opens images, because images may come from anyone.

Pillow chooses the format by an image's content, not by its file name, and starts Ghostscript for
PostScript. So only formats are allowed that Pillow decodes without another program.
"""

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from PIL import Image, UnidentifiedImageError

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

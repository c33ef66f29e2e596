"""The only place where encoded images are opened: in a few formats, none of which runs a program.

Pillow chooses a format by an image's content, whatever its file is called, and starts Ghostscript
for PostScript. An image may come from anyone, so only formats count that Pillow decodes by itself.
"""

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from PIL import Image, UnidentifiedImageError

# what torchvision's ImageFolder reads, and GIF; MPO, as cameras write it, opens as a JPEG.
# JPEG 2000 and AVIF are left out: no dataset here has them, and each is one more decoder to trust
FORMATS = ("JPEG", "PNG", "PPM", "BMP", "TIFF", "WEBP", "GIF")


@contextmanager
def opened(data: bytes, place: str) -> Iterator[Image.Image]:
    """Open an encoded image; its pixels are decoded where they are first used, inside the block.

    Args:
        data: The encoded image.
        place: Where it is, for messages.

    Raises:
        ValueError: It is in no format that is read, is damaged, or has more pixels than Pillow
            takes for safe (`PIL.Image.MAX_IMAGE_PIXELS`), which Pillow itself only warns of.
            The same is raised of what goes wrong inside the block.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            image = Image.open(io.BytesIO(data), formats=FORMATS)
        with image:
            yield image
    except UnidentifiedImageError as error:
        reason = f"it is none of {', '.join(FORMATS)}"
        raise ValueError(f"{place}: the image cannot be decoded ({reason})") from error
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        most = Image.MAX_IMAGE_PIXELS
        raise ValueError(
            f"{place}: the image cannot be decoded (it has more than {most:,} pixels, as images "
            "made to fill the memory have; make it smaller)"
        ) from error
    except (OSError, SyntaxError, ValueError) as error:
        raise ValueError(f"{place}: the image cannot be decoded ({error})") from error

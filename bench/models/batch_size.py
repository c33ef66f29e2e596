"""Batch sizes that fit into memory."""

from collections.abc import Callable
from typing import TypeVar

import torch

from bench.core.devices import usable_memory
from bench.core.errors import CellError

T = TypeVar("T")

LEAST, MOST = 8, 512  # batch sizes tried on a GPU; larger sizes are not faster
_MEMORY_SHARE = 0.8  # share of the free memory that a batch may use
_CPU_PIXELS = 2**20  # pixels per channel and batch; larger batches are not faster on a CPU
_CPU_MOST = 128
_MEMORY_ERRORS = (
    *("out of memory", "CUBLAS_STATUS_ALLOC_FAILED", "CUDNN_STATUS_ALLOC_FAILED"),
    "DefaultCPUAllocator",  # occurs in out-of-memory errors only
)


class ImageTooLarge(CellError):
    """A single image does not fit into memory, so a smaller batch cannot help."""


class Batch:
    """The largest number of images per pass; it is halved when memory runs out.

    Attributes:
        size: The current batch size, at least 1.
    """

    def __init__(self, size: int) -> None:
        """Start with `size` images per pass."""
        self.size = size

    def parts(self, count: int, work: Callable[[slice], T]) -> list[T]:
        """Call `work` on consecutive slices of `count` images and return all results, in order.

        When `work` runs out of memory, it is called again on half as many images.

        Raises:
            ImageTooLarge: A single image does not fit into memory.
        """
        found: list[T] = []
        at = 0
        while at < count:
            part = slice(at, min(at + self.size, count))
            done = run_or_none(work, part)
            if done is None:
                self.size = max(1, (part.stop - at) // 2)
                if part.stop - at == 1:
                    raise ImageTooLarge(
                        "a single image does not fit into the device's memory; use smaller images, "
                        "a lower precision or a smaller model"
                    )
            else:
                found += done
                at = part.stop
        return found


def out_of_memory(error: BaseException) -> bool:
    """Return whether an error means that memory ran out; GPU libraries have their own messages."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in _MEMORY_ERRORS)


def memory_too_small(error: BaseException) -> bool:
    """Return whether memory was too small, so that a retry with fewer models loaded may work."""
    return isinstance(error, ImageTooLarge) or out_of_memory(error)


def accelerator_failed(error: BaseException) -> bool:
    """Return whether the GPU is unusable for the rest of this process."""
    return isinstance(error, torch.AcceleratorError) and not out_of_memory(error)


def as_batch(size: int | Batch) -> Batch:
    """Return a `Batch` as it is, and a number as a new `Batch`."""
    return size if isinstance(size, Batch) else Batch(size)


def run_or_none(work: Callable[[slice], T], part: slice) -> list[T] | None:
    """Return the result of `work` in a list of length 1, or None if memory ran out."""
    try:
        return [work(part)]
    except Exception as error:
        if not out_of_memory(error):
            raise
        # memory is freed only after this block, because the error's traceback holds tensors
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    return None


def batch_for(device: torch.device, height: int, width: int, work: Callable[[slice], T]) -> Batch:
    """Return a suitable batch size.

    On a CPU it follows from the number of pixels, because a CPU process cannot test safely how
    much memory there is. On a GPU sizes are tried, and doubled as long as the next is expected to
    fit.

    Args:
        device: Device that the model runs on.
        height: Height of the images, in pixels.
        width: Width of the images, in pixels.
        work: Runs one forward and backward pass over a slice of some images.
    """
    if device.type != "cuda":
        fitting = _CPU_PIXELS // (height * width)
        return Batch(max(LEAST, min(_CPU_MOST, 2 ** max(fitting, 1).bit_length() // 2)))
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats(device)  # earlier work may have a higher peak
    before = torch.cuda.memory_allocated(device)
    available = _MEMORY_SHARE * usable_memory(device)[0]

    def fits_twice() -> bool:
        used = torch.cuda.max_memory_allocated(device) - before
        torch.cuda.reset_peak_memory_stats(device)
        return 2 * used < available

    return Batch(largest(work, fits_twice))


def largest(work: Callable[[slice], T], fits_twice: Callable[[], bool]) -> int:
    """Return the largest batch size found that fits, at most `MOST`.

    Sizes double from `LEAST`. If `LEAST` does not fit, sizes halve down to 1.
    """
    size = LEAST
    while run_or_none(work, slice(0, size)) is None:
        size //= 2
        if size <= 1:
            return 1
    while (
        LEAST <= size < MOST and fits_twice() and run_or_none(work, slice(0, 2 * size)) is not None
    ):
        size *= 2
    return size

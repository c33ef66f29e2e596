"""How many images go through a model at once."""

from collections.abc import Callable
from typing import TypeVar

import torch

from bench.core.errors import CellError

T = TypeVar("T")

LEAST, MOST = 8, 512  # sizes tried on an accelerator; a larger one gains nothing there
_MEMORY_SHARE = 0.8  # of the free memory that a batch may be expected to take
_CPU_PIXELS = 2**20  # per channel and batch: past it a CPU computes no faster
_CPU_MOST = 128
_MEMORY_ERRORS = (
    *("out of memory", "CUBLAS_STATUS_ALLOC_FAILED", "CUDNN_STATUS_ALLOC_FAILED"),
    "DefaultCPUAllocator",  # which names itself in no other error
)


class ImageTooLarge(CellError):
    """A single image is too much: memory ran out, and a smaller batch is no way on."""


class Batch:
    """A bound on the images at once, halved for good where memory turns out too small."""

    def __init__(self, size: int) -> None:
        """Begin with `size` images at once."""
        self.size = size

    def parts(self, count: int, work: Callable[[slice], T]) -> list[T]:
        """Work on `count` images part by part and return what came of each, in order.

        `work` is called again, on half as many images, where it runs out of memory.

        Raises:
            ImageTooLarge: A single image is too much.
        """
        found: list[T] = []
        at = 0
        while at < count:
            part = slice(at, min(at + self.size, count))
            done = try_on(work, part)
            if done is None:
                self.size = max(1, (part.stop - at) // 2)  # the next who asks begins with one
                if part.stop - at == 1:
                    raise ImageTooLarge("a single image does not fit into the device's memory")
            else:
                found += done
                at = part.stop
        return found


def out_of_memory(error: BaseException) -> bool:
    """Return whether memory ran out; libraries of an accelerator say so in words of their own."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in _MEMORY_ERRORS)


def memory_too_small(error: BaseException) -> bool:
    """Return whether memory was too small, be it for one image; with less in it, it may do."""
    return isinstance(error, ImageTooLarge) or out_of_memory(error)


def accelerator_failed(error: BaseException) -> bool:
    """Return whether the accelerator failed this process for good, whatever it is asked next."""
    return isinstance(error, torch.AcceleratorError) and not out_of_memory(error)


def as_batch(size: int | Batch) -> Batch:
    """Return a bound of its own where only a number is given."""
    return size if isinstance(size, Batch) else Batch(size)


def try_on(work: Callable[[slice], T], part: slice) -> list[T] | None:
    """Return what came of a part, in a list of one, or None where memory ran out."""
    try:
        return [work(part)]
    except Exception as error:
        if not out_of_memory(error):
            raise
        # the error holds the tensors of the frames that it passed, so let go of it first
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    return None


def batch_for(device: torch.device, height: int, width: int, work: Callable[[slice], T]) -> Batch:
    """Find how many images to work on at once.

    On a CPU, which has no way to say that memory ends, by the number of pixels. On an
    accelerator by trial: sizes double as long as the next is expected to fit.

    Args:
        device: Where the work is done.
        height: Height of the images, in pixels.
        width: Their width.
        work: One pass forward and backward over that slice of some images.
    """
    if device.type != "cuda":
        fitting = _CPU_PIXELS // (height * width)
        return Batch(max(LEAST, min(_CPU_MOST, 2 ** max(fitting, 1).bit_length() // 2)))
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats(device)  # an attack's peak is not the trial's
    held = torch.cuda.memory_allocated(device)
    room = _MEMORY_SHARE * torch.cuda.mem_get_info(device)[0]

    def fits_twice() -> bool:
        taken = torch.cuda.max_memory_allocated(device) - held
        torch.cuda.reset_peak_memory_stats(device)
        return 2 * taken < room

    return Batch(largest(work, fits_twice))


def largest(work: Callable[[slice], T], fits_twice: Callable[[], bool]) -> int:
    """Return the largest size from `LEAST` to `MOST` at which the work fits, or 1."""
    size = LEAST
    while try_on(work, slice(0, size)) is None:
        size //= 2
        if size <= 1:
            return 1
    while LEAST <= size < MOST and fits_twice() and try_on(work, slice(0, 2 * size)) is not None:
        size *= 2
    return size

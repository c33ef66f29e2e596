"""The Gaussian low-pass filter in front of the encoder."""

from functools import lru_cache

import torch
from torch import Tensor, nn

PAPER_SIZE = 224  # image size in pixels that the paper's cutoffs refer to
ZEROS, ONES = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
_CPU = torch.device("cpu")
_CACHE_SIZE = 16  # matrices; a matrix for 1008 pixels has 4 MB


class GaussianFilter(nn.Module):
    """Multiply an image's spectrum by `exp(-D^2 / (2 D0^2))`, per channel.

    D is the distance from zero frequency in offsets of the discrete Fourier transform.
    A uniform image is not changed. The formula is inferred: R-Adapt's page names a
    Gaussian low-pass filter with cutoff D0, and code of the same author (Summu77/CSR)
    filters and clamps in this way.

    The transfer function is a product of one factor per row and one per column. So the filter is
    a circular convolution along each axis: two small real matrix products, with matrices made
    once per image size, instead of two Fourier transforms of each image. The result is the same
    up to rounding, and real matrix products work with torch.compile.
    """

    rows: Tensor
    columns: Tensor
    low: Tensor | None
    high: Tensor | None

    def __init__(
        self,
        cutoff: float,
        *,
        at: int | None = PAPER_SIZE,
        clamp: tuple[tuple[float, ...], tuple[float, ...]] | None = (ZEROS, ONES),
        size: tuple[int, int] | None = None,
    ) -> None:
        """Make the filter.

        Args:
            cutoff: D0 in frequency offsets of an image of `at` pixels.
            at: Image size in pixels that `cutoff` refers to. For images of another size the
                cutoff scales with the size, so that it removes the same details. None for the
                image's own size.
            clamp: Minimum and maximum per channel of the result; None for no clamping.
            size: Height and width in pixels for which matrices are made now. Matrices for
                other sizes are made when needed, and the most recent are cached.

        Raises:
            ValueError: The cutoff is not positive.
        """
        super().__init__()
        if cutoff <= 0:
            raise ValueError(f"cutoff: got {cutoff}; allowed: a positive number")
        self.cutoff = cutoff
        self.at = at
        self.size = size
        rows, columns = (self.matrix(n) for n in size or (0, 0))
        # buffers move with the module to its device; non-persistent, so not in its state dict
        self.register_buffer("rows", rows, persistent=False)
        self.register_buffer("columns", columns, persistent=False)
        low, high = (None, None) if clamp is None else map(_per_channel, clamp)
        self.register_buffer("low", low, persistent=False)
        self.register_buffer("high", high, persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """Filter images `[b,c,h,w]`; differentiable."""
        height, width = images.shape[-2:]
        if (height, width) == self.size:
            rows, columns = self.rows, self.columns
        else:
            rows, columns = (self.matrix(n, images.device) for n in (height, width))
        pixels = images.to(torch.promote_types(images.dtype, torch.float32))
        with torch.autocast(images.device.type, enabled=False):
            smooth = rows.to(pixels) @ pixels @ columns.to(pixels)
        if self.low is not None and self.high is not None:
            smooth = torch.clamp(smooth, self.low.to(pixels), self.high.to(pixels))
        return smooth.to(images.dtype)

    def matrix(self, length: int, device: torch.device = _CPU) -> Tensor:
        """Return the filter along an axis as a symmetric circulant matrix `[n,n]`.

        The matrix is cached and shared between filters, so do not modify it.
        """
        if length == 0:
            return torch.zeros(0, 0)
        # an offset of k at size n is the frequency k/n, in cycles per pixel
        return _matrix(length, self.cutoff / (self.at or length), device)

    def extra_repr(self) -> str:
        """Return the settings for `repr`."""
        return f"cutoff={self.cutoff}, at={self.at}, size={self.size}"


@lru_cache(maxsize=_CACHE_SIZE)
def _matrix(length: int, limit: float, device: torch.device) -> Tensor:
    with torch.inference_mode(False):  # a cached matrix may later be used with autograd
        factor = torch.exp(-((torch.fft.fftfreq(length, dtype=torch.float64) / limit) ** 2) / 2)
        kernel = torch.fft.ifft(factor).real
        index = torch.arange(length)
        matrix: Tensor = kernel[(index[:, None] - index[None, :]) % length].float()
        return matrix.to(device)


def _per_channel(values: tuple[float, ...]) -> Tensor:
    return torch.tensor(values)[:, None, None]

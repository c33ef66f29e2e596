"""The Gaussian low-pass filter in front of the encoder."""

import torch
from torch import Tensor, nn

PAPER_SIZE = 224  # the image size that the paper's cutoffs are offsets of


class GaussianFilter(nn.Module):
    """Multiply an image's spectrum by `exp(-D^2 / (2 D0^2))`, per channel.

    D is the distance from zero frequency in offsets of the discrete Fourier transform.
    A uniform image passes unchanged. The formula is inferred: R-Adapt's page names a
    Gaussian low-pass filter with cutoff D0, and code of the same author (Summu77/CSR)
    filters in this way, clamping included.
    """

    def __init__(self, cutoff: float, *, at: int | None = PAPER_SIZE, clamp: bool = True) -> None:
        """Make the filter.

        Args:
            cutoff: D0, in frequency offsets of an image of `at` pixels.
            at: The size that `cutoff` refers to; at another size it scales with the
                image, so that it names the same detail. None takes it at the image's
                own size.
            clamp: Whether to clamp the result to [0,1].

        Raises:
            ValueError: The cutoff is not positive.
        """
        super().__init__()
        if cutoff <= 0:
            raise ValueError(f"cutoff: got {cutoff}; a positive number is needed")
        self.cutoff = cutoff
        self.at = at
        self.clamp = clamp
        self._transfer: dict[tuple[int, int, torch.device], Tensor] = {}

    def forward(self, images: Tensor) -> Tensor:
        """Filter images `[b,c,h,w]` in [0,1]; differentiable."""
        height, width = images.shape[-2:]
        pixels = images.float()  # half precision has no FFT at sizes other than powers of two
        spectrum = torch.fft.rfft2(pixels) * self.transfer(height, width, images.device)
        smooth: Tensor = torch.fft.irfft2(spectrum, s=(height, width))
        return (smooth.clamp(0, 1) if self.clamp else smooth).to(images.dtype)

    def transfer(self, height: int, width: int, device: torch.device) -> Tensor:
        """Return the factor on each frequency that `rfft2` yields, `[h, w//2+1]`."""
        key = (height, width, device)
        if key in self._transfer:
            return self._transfer[key]
        with torch.inference_mode(False):  # an inference tensor could not serve a gradient later
            rows = torch.fft.fftfreq(height, device=device)
            columns = torch.fft.rfftfreq(width, device=device)
            # an offset of k at size n is the frequency k/n, in cycles per pixel
            limits = [self.cutoff / (self.at or size) for size in (height, width)]
            exponent = (rows[:, None] / limits[0]) ** 2 + (columns[None, :] / limits[1]) ** 2
            self._transfer[key] = torch.exp(-exponent / 2)
        return self._transfer[key]

    def extra_repr(self) -> str:
        """Show the settings when printed."""
        return f"cutoff={self.cutoff}, at={self.at}, clamp={self.clamp}"

"""Change of the spectrum of patch embedding kernels by adversarial fine-tuning."""

from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from radapt.layout import has_stem, layout_of

Scale = Literal["relative", "absolute"]


def spectral_shift(
    standard: nn.Module, robust: nn.Module, *, scale: Scale = "relative"
) -> NDArray[np.float64]:
    """Return the change of each frequency's magnitude from `standard` to `robust`.

    The magnitude of a frequency is the mean of `|FFT2(kernel)|` over all `d x 3` kernels of
    the patch embedding. R-Adapt's paper shows this map for FARE and CLIP, 14 by 14 for ViT-L/14,
    below -0.30 in the corners and above 0.30 in the centre. It does not state the normalisation.

    Args:
        standard: The reference vision tower.
        robust: A vision tower with kernels of the same size.
        scale: `absolute`: the difference of magnitudes, in units of the weights; `relative`:
            the difference divided by the magnitude in `standard`, at least -1.

    Returns:
        Changes `[p,p]` for patches of p pixels, positive where `robust` is stronger. Frequency
        zero is at `[p // 2, p // 2]`, and the highest frequencies are at the edges.

    Raises:
        TypeError: A tower's layout is not known, or a stem of several convolutions makes its
            patch tokens.
        ValueError: The kernels differ in size.
    """
    before, after = (_magnitude(_kernels(tower)) for tower in (standard, robust))
    if before.shape != after.shape:
        sizes = " and ".join(f"{len(side)} by {len(side)}" for side in (before, after))
        raise ValueError(f"the towers' patches differ in size: {sizes} pixels")
    shift = after - before
    return shift / before if scale == "relative" else shift


def _kernels(tower: nn.Module) -> Tensor:
    patches = tower.get_submodule(layout_of(tower).patches)
    if not isinstance(patches, nn.Conv2d) or has_stem(tower):
        raise TypeError(
            f"{type(tower).__name__} is not supported: it does not embed patches by one "
            "convolution in two dimensions"
        )
    return patches.weight.detach()


def _magnitude(kernels: Tensor) -> NDArray[np.float64]:
    """Return the mean magnitude of each frequency of `[d,3,p,p]` kernels: `[p,p]`, centred."""
    spectrum = torch.fft.fft2(kernels.double()).abs().mean(dim=(0, 1))
    centred: NDArray[np.float64] = torch.fft.fftshift(spectrum).cpu().numpy()
    return centred

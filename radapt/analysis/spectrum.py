"""How adversarial fine-tuning shifts the spectrum of the patch embedding's kernels."""

from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from radapt.layout import layout_of

Scale = Literal["relative", "absolute"]


def spectral_shift(
    standard: nn.Module, robust: nn.Module, *, scale: Scale = "relative"
) -> NDArray[np.float64]:
    """Return by how much each frequency is stronger in the kernels of `robust`.

    The magnitude of a frequency is the mean of `|FFT2(kernel)|` over all `d x 3` kernels of
    the patch embedding. R-Adapt shows such a map for FARE and CLIP, 14 by 14 for ViT-L/14, below
    -0.30 in the corners and above 0.30 in the centre; how it is normalised is not known.

    Args:
        standard: The vision tower that is compared with.
        robust: A vision tower with kernels of the same size.
        scale: `absolute`: the difference of the magnitudes, in units of the weights;
            `relative`: that difference as a fraction of the magnitude in `standard`, from -1 on.

    Returns:
        `[p,p]` for patches of p pixels; the constant part is at `[p // 2, p // 2]`, so that
        the highest frequencies lie at the edges. Positive where `robust` is stronger.

    Raises:
        TypeError: A tower's layout is not known.
        ValueError: The kernels differ in size.
    """
    before, after = (_magnitude(_kernels(tower)) for tower in (standard, robust))
    if before.shape != after.shape:
        sizes = " against ".join(f"{len(side)} by {len(side)}" for side in (before, after))
        raise ValueError(f"patches differ in size: {sizes} pixels")
    shift = after - before
    return shift / before if scale == "relative" else shift


def _kernels(tower: nn.Module) -> Tensor:
    weight = tower.get_submodule(layout_of(tower).patches).weight
    assert isinstance(weight, Tensor)
    return weight.detach()


def _magnitude(kernels: Tensor) -> NDArray[np.float64]:
    """Return the mean magnitude of each frequency of `[d,3,p,p]` kernels: `[p,p]`, centred."""
    spectrum = torch.fft.fft2(kernels.double()).abs().mean(dim=(0, 1))
    centred: NDArray[np.float64] = torch.fft.fftshift(spectrum).cpu().numpy()
    return centred

"""Attacks that know the defence: its filter, its embedding, its parts, its scale."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from bench.attacks import build_attack
from bench.attacks.balls import length
from bench.attacks.spectrum import Spectrum
from bench.specs import ApgdCe
from bench.specs.adaptive import Filter
from bench.types import Budget, Norm
from radapt.filters import GaussianFilter
from tests.conftest import LinearModel, grey_images

FILTERS = {"band": Filter(cutoff=60), "inverse": Filter(cutoff=60, inverse=0.01)}
BOTH_NORMS = pytest.mark.parametrize("norm", ["linf", "l2"])


def noise(count: int, height: int = 8, width: int = 8) -> Tensor:
    return torch.randn(count, 3, height, width, generator=torch.Generator().manual_seed(3))


def dense(cutoff: float, inverse: float | None, height: int, width: int) -> Tensor:
    """Return the operator on flattened images as a matrix, from sums of cosines alone."""
    limit = cutoff / 224
    columns = []
    for at in range(height * width):
        row, column = divmod(at, width)
        total = torch.zeros(height, width, dtype=torch.float64)
        for u in range(height):
            for v in range(width):
                f, g = min(u, height - u) / height, min(v, width - v) / width
                gain = math.exp(-(f * f + g * g) / (2 * limit * limit))
                gain = gain / (gain * gain + inverse) if inverse else gain
                y, x = torch.arange(height)[:, None] - row, torch.arange(width) - column
                phase = 2 * math.pi * (u * y / height + v * x / width)
                total += gain * torch.cos(phase.double()) / (height * width)
        columns.append(total.flatten())
    return torch.stack(columns, dim=1)


@pytest.mark.parametrize("inverse", [None, 0.01])
@pytest.mark.parametrize(("height", "width"), [(6, 6), (5, 7)])
def test_the_response_is_the_dense_one(inverse: float | None, height: int, width: int) -> None:
    gradients = noise(2, height, width)
    found = Spectrum(60, inverse).applied(gradients)
    matrix = dense(60, inverse, height, width)
    expected = (gradients.double().flatten(2) @ matrix.T).unflatten(2, (height, width))
    assert torch.allclose(found.double(), expected, atol=1e-5)


def test_the_band_is_that_of_radapt_s_filter() -> None:
    images = noise(2, 32, 32)
    filtered = GaussianFilter(40, clamp=None)(images)
    assert torch.allclose(Spectrum(40).applied(images), filtered, atol=1e-5)


def test_the_inverse_takes_the_filter_out_of_a_gradient() -> None:
    behind = noise(1, 16, 16)  # a loss's gradient with respect to what the filter lets through
    images = torch.zeros_like(behind).requires_grad_()
    (GaussianFilter(100, clamp=None)(images) * behind).sum().backward()  # type: ignore[no-untyped-call]
    assert images.grad is not None
    before = (images.grad - behind).norm() / behind.norm()
    restored = Spectrum(100, 1e-6).applied(images.grad)
    assert float(before) > 0.3
    assert float((restored - behind).norm() / behind.norm()) < 0.02


@BOTH_NORMS
@pytest.mark.parametrize("name", FILTERS)
def test_steps_have_length_one_and_zero_stays_zero(name: str, norm: Norm) -> None:
    spectrum = Spectrum(FILTERS[name].cutoff, FILTERS[name].inverse)
    assert torch.allclose(length(spectrum.steepest(noise(4), norm), norm), torch.ones(4))
    assert not spectrum.steepest(torch.zeros(1, 3, 8, 8), norm).any()


def test_steps_in_the_band_have_no_other_frequencies() -> None:
    step = Spectrum(20).steepest(noise(4, 32, 32), "linf")
    power = torch.fft.rfft2(step).abs() ** 2
    frequency = torch.fft.fftfreq(32)[:, None] ** 2 + torch.fft.rfftfreq(32) ** 2
    outside = frequency.sqrt() > 4 * 20 / 224  # where the filter passes exp(-8)
    assert float(power[..., outside].sum() / power.sum()) < 1e-5


@BOTH_NORMS
@pytest.mark.parametrize("mode", ["success", "full"])
@pytest.mark.parametrize("name", FILTERS)
def test_attacks_stay_in_the_ball_and_the_box_and_raise_the_loss(
    name: str, norm: Norm, mode: str
) -> None:
    model, eps = LinearModel(classes=4), 0.2 if norm == "linf" else 2.0
    images = torch.cat([grey_images(10) - 0.45, grey_images(10, seed=2) + 0.45]).clamp(0, 1)
    labels = model(images).argmax(dim=1)
    attack = build_attack(
        ApgdCe(kind="apgd-ce", eps=("1",), steps=10, filter=FILTERS[name]), batch=7
    )
    found = attack(model, images, labels, Budget(eps, norm), mode=mode, seeds=range(20))  # type: ignore[arg-type]
    assert float(length(found - images, norm).max()) <= eps + 1e-6
    assert float(found.min()) >= 0
    assert float(found.max()) <= 1
    before, after = (F.cross_entropy(model(at), labels, reduction="none") for at in (images, found))
    assert bool((after > before).all())


@pytest.mark.parametrize("name", FILTERS)
def test_an_image_depends_on_itself_alone(name: str) -> None:
    model, images = LinearModel(classes=4), grey_images(12)
    labels = model(images).argmax(dim=1)
    spec = ApgdCe(kind="apgd-ce", eps=("1",), steps=8, filter=FILTERS[name])
    budget = Budget(float(model.smallest_eps(images).median()))
    together = build_attack(spec, batch=12)(
        model, images, labels, budget, mode="full", seeds=range(12)
    )
    order = torch.tensor([7, 2, 11])
    apart = build_attack(spec, batch=2)(
        model, images[order], labels[order], budget, mode="full", seeds=order.tolist()
    )
    assert torch.allclose(apart, together[order], atol=1e-6)

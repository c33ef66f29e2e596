"""The method alone: filter, anchor, adaptation, fit."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from bench.nano.nano_clip import build_clip
from radapt import Anchor, GaussianFilter, adapt, extract_anchor
from radapt.normalisations import CLIP_MEAN, CLIP_STD
from radapt.pgd import pgd, uniform_start
from radapt.tower import normalise


@pytest.fixture(scope="module")
def tower() -> nn.Module:
    torch.manual_seed(0)
    visual: nn.Module = build_clip().visual
    return visual.eval().requires_grad_(False)


def images(count: int = 4, size: int = 32) -> Tensor:
    return torch.rand((count, 3, size, size), generator=torch.Generator().manual_seed(0))


def reference_filter(image: np.ndarray, cutoff: float) -> np.ndarray:  # type: ignore[type-arg]
    """The textbook form: centred spectrum, full FFT, double precision."""
    height, width = image.shape[-2:]
    rows = (np.arange(height) - height // 2)[:, None]
    columns = (np.arange(width) - width // 2)[None, :]
    mask = np.exp(-(rows**2 + columns**2) / (2 * cutoff**2))
    spectrum = np.fft.fftshift(np.fft.fft2(image), axes=(-2, -1))
    smooth = np.fft.ifft2(np.fft.ifftshift(spectrum * mask, axes=(-2, -1))).real
    return np.clip(smooth, 0, 1)


@pytest.mark.parametrize("size", [32, 33, 224])
def test_filter_equals_numpy(size: int) -> None:
    given = images(2, size)
    expected = reference_filter(given.double().numpy(), 40 * size / 224)
    assert np.abs(GaussianFilter(40)(given).numpy() - expected).max() < 2e-6
    expected = reference_filter(given.double().numpy(), 7)
    assert np.abs(GaussianFilter(7, at=None)(given).numpy() - expected).max() < 2e-6


@pytest.mark.parametrize("value", [0.0, 0.3, 1.0])
def test_filter_leaves_a_uniform_image(value: float) -> None:
    uniform = torch.full((1, 3, 32, 32), value)
    assert torch.allclose(GaussianFilter(40)(uniform), uniform, atol=1e-6)


def test_the_filter_clamps_to_the_box_unless_told_otherwise() -> None:
    beyond = torch.full((1, 3, 32, 32), 1.5)
    assert torch.equal(GaussianFilter(40)(beyond), torch.ones(1, 3, 32, 32))
    assert torch.equal(GaussianFilter(40)(-beyond), torch.zeros(1, 3, 32, 32))
    assert torch.allclose(GaussianFilter(40, clamp=None)(beyond), beyond, atol=1e-6)


def test_an_adapted_tower_filters_pixels_and_clamps_them_to_the_box(tower: nn.Module) -> None:
    """As if [0,1] pixels were filtered before normalisation, whatever unit the tower takes."""
    anchor = extract_anchor(tower)
    for given in (images(), 3 * images() - 1):
        for at in (224, None):
            adapted = adapt(tower, anchor, alpha=0, cutoff=12, cutoff_at=at)
            expected = tower(normalise(GaussianFilter(12, at=at)(given)))
            assert torch.allclose(adapted(normalise(given)), expected, atol=1e-5)


def test_matrices_of_sizes_that_come_are_made_once() -> None:
    first, second = GaussianFilter(40), GaussianFilter(20)
    with torch.inference_mode():
        made = first.matrix(44)
    assert first.matrix(44) is GaussianFilter(40, size=(32, 32)).matrix(44) is made
    assert not torch.equal(second.matrix(44), made)
    points = torch.rand(1, 3, 44, 44, requires_grad=True)
    assert float(torch.autograd.grad(first(points).sum(), points)[0].abs().sum()) > 0
    for length in range(1, 40):  # a bounded number of them is kept
        first.matrix(length)
    assert torch.equal(first.matrix(44), made)
    assert first.matrix(44) is not made


def test_filter_refuses_a_cutoff_of_nothing() -> None:
    with pytest.raises(ValueError, match="cutoff: got 0"):
        GaussianFilter(0)


def test_no_anchor_no_filter_is_the_identity(tower: nn.Module) -> None:
    anchor = extract_anchor(tower)
    inputs = normalise(images(), CLIP_MEAN, CLIP_STD)
    same = adapt(tower, anchor, alpha=0, cutoff=None)
    assert torch.equal(same(inputs), tower(inputs))


def test_adapting_leaves_the_tower_as_it_was(tower: nn.Module) -> None:
    inputs = normalise(images(), CLIP_MEAN, CLIP_STD)
    before = tower(inputs)
    anchor = extract_anchor(tower)
    adapted = adapt(tower, anchor, alpha=1.2, cutoff=40)
    assert not torch.allclose(adapted(inputs), before, atol=1e-3)
    assert torch.equal(tower(inputs), before)
    assert list(adapted.state_dict()) == list(tower.state_dict())
    adapted.load_state_dict(tower.state_dict())
    assert {id(p) for p in adapted.parameters()} == {id(p) for p in tower.parameters()}


def test_full_replacement_makes_the_first_attention_constant(tower: nn.Module) -> None:
    """At alpha 1 the white image's own response is put back: a white image sees no change."""
    anchor = extract_anchor(tower)
    white = normalise(torch.ones(1, 3, 32, 32), CLIP_MEAN, CLIP_STD)
    adapted = adapt(tower, anchor, alpha=1, cutoff=40)
    assert torch.allclose(adapted(white), tower(white), atol=1e-5)


def test_mixing_forms(tower: nn.Module) -> None:
    """Read the mixed response: (1-a)A + aR against A + aR."""
    anchor = extract_anchor(tower)
    inputs = normalise(images(), CLIP_MEAN, CLIP_STD)
    plain = extract_response(tower, inputs)
    for mix, scale in (("interpolate", 0.7), ("add", 1.0)):
        adapted = adapt(tower, anchor, alpha=0.3, cutoff=None, mix=mix)  # type: ignore[arg-type]
        expected = scale * plain + 0.3 * anchor.value
        assert torch.allclose(extract_response(adapted, inputs), expected, atol=1e-5)


def extract_response(tower: nn.Module, inputs: Tensor) -> Tensor:
    found: list[Tensor] = []
    attention = tower.get_submodule("transformer.resblocks.0.attn")
    handle = attention.register_forward_hook(lambda m, a, output: found.append(output[0]))
    tower(inputs)
    handle.remove()
    return found[0]


def test_gradient_through_filter_and_anchor(tower: nn.Module) -> None:
    anchor = extract_anchor(tower)
    double = adapt(tower, anchor, alpha=0.8, cutoff=40, mean=CLIP_MEAN, std=CLIP_STD)
    pixels = images(1) * 0.5 + 0.25

    def loss(x: Tensor) -> Tensor:
        return double(normalise(x, CLIP_MEAN, CLIP_STD)).square().sum()

    point = pixels.clone().requires_grad_(True)
    (gradient,) = torch.autograd.grad(loss(point), point)
    direction = gradient.sign()
    step = 1e-3
    numeric = (loss(pixels + step * direction) - loss(pixels - step * direction)) / (2 * step)
    assert float(numeric) == pytest.approx(float((gradient * direction).sum()), rel=0.02)


def test_anchor_file_round_trip(tower: nn.Module, tmp_path: Path) -> None:
    anchor = extract_anchor(tower)
    assert anchor.value.shape == (1, 17, 128)
    anchor.save(tmp_path / "a.safetensors")
    again = Anchor.load(tmp_path / "a.safetensors")
    assert torch.equal(again.value, anchor.value)
    assert (again.tower, again.size, again.origin) == (anchor.tower, (32, 32), anchor.origin)


def test_a_file_that_is_no_anchor(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    save_file({"x": torch.zeros(1)}, tmp_path / "x.safetensors")
    with pytest.raises(ValueError, match="not an anchor"):
        Anchor.load(tmp_path / "x.safetensors")


def test_foreign_anchors_and_towers_are_refused(tower: nn.Module) -> None:
    wide = Anchor(torch.zeros(1, 17, 64), "a small tower", (32, 32), "test")
    with pytest.raises(ValueError, match=r"\(1, 17, 64\), made on a small tower, does not fit"):
        adapt(tower, wide, alpha=1, cutoff=None)
    long = Anchor(torch.zeros(1, 50, 128), "a long tower", (56, 56), "test")
    with pytest.raises(ValueError, match=r"\(1, 50, 128\), made on a long.*gives \(1, 17, 128\)"):
        adapt(tower, long, alpha=1, cutoff=None)
    elsewhere = Anchor(torch.zeros(1, 17, 128), "a tower of other patches", (64, 64), "test")
    with pytest.raises(ValueError, match="made on a tower of other patches, does not fit"):
        adapt(tower, elsewhere, alpha=1, cutoff=None)
    with pytest.raises(ValueError, match="mix: got 'sum'; allowed: interpolate, add"):
        adapt(tower, extract_anchor(tower), alpha=1, cutoff=None, mix="sum")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="adapted already"):
        adapt(adapt(tower, extract_anchor(tower), alpha=1, cutoff=None), wide, alpha=0, cutoff=1)
    with pytest.raises(TypeError, match="Sequential has no known blocks"):
        extract_anchor(nn.Sequential(nn.Linear(2, 2)))


def test_pgd_reaches_the_corner_of_a_linear_loss() -> None:
    weight = torch.randn(3, 8, 8, generator=torch.Generator().manual_seed(0))
    clean = torch.full((2, 3, 8, 8), 0.5)
    start = uniform_start(clean, 0.1, torch.Generator().manual_seed(0))
    assert float(start.abs().max()) <= 0.1
    found = pgd(
        lambda x: (x * weight).sum(dim=(1, 2, 3)), clean, eps=0.1, step=0.05, steps=6, start=start
    )
    assert torch.allclose(found, (clean + 0.1 * weight.sign()), atol=1e-6)
    found = pgd(lambda x: (x * weight).sum(dim=(1, 2, 3)), clean, eps=0.1, step=0.02, steps=2)
    assert torch.allclose(found, (clean + 0.04 * weight.sign()), atol=1e-6)

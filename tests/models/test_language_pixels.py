"""Images as a model's processor sees them: to the last bit, and with gradients."""

from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from torch import Tensor

from bench.core.torchvision_shim import ensure_torchvision
from bench.models.language.pixels import Pixels
from bench.models.language.resizing import resize_bits
from tests.support.small_language import SMALL

ensure_torchvision()

# square and not, of the small towers' size, smaller, larger, and of very long sides
SIZES = [(32, 32), (20, 20), (64, 64), (40, 70), (70, 40), (32, 64), (33, 97), (150, 31), (96, 96)]


def bits(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8)


@pytest.fixture(scope="module", params=list(SMALL))
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp(request.param)
    SMALL[request.param](place)
    return place


def processor(folder: Path) -> Any:
    return transformers.AutoProcessor.from_pretrained(folder).image_processor


@pytest.mark.parametrize("size", SIZES)
def test_inputs_are_the_processors_to_the_last_bit(folder: Path, size: tuple[int, int]) -> None:
    images = bits(2, 3, *size)
    images[1] = 255 * (images[1] > 127)  # noise of black and white overshoots most
    theirs = processor(folder)(list(images), return_tensors="pt")
    # by division, and as an accelerator divides
    for given in (images.float() / 255, images.float() * torch.tensor(1 / 255)):
        ours = Pixels(processor(folder))(given)
        assert set(ours) == set(theirs)
        for name, value in ours.items():
            assert torch.equal(value, theirs[name]), name


@pytest.mark.parametrize("size", [(32, 32), (40, 70)])
def test_pil_and_arrays_are_seen_alike(folder: Path, size: tuple[int, int]) -> None:
    """A user hands over pictures, not tensors."""
    from PIL import Image

    images = bits(1, 3, *size)
    picture = Image.fromarray(images[0].permute(1, 2, 0).numpy())
    theirs = processor(folder)([picture], return_tensors="pt")["pixel_values"]
    assert torch.equal(Pixels(processor(folder))(images.float() / 255)["pixel_values"], theirs)


def test_every_pixel_that_is_seen_has_a_gradient(folder: Path) -> None:
    points = (bits(1, 3, 40, 40).float() / 255).requires_grad_()
    values = Pixels(processor(folder))(points)["pixel_values"]
    (gradient,) = torch.autograd.grad(values.square().sum(), points)
    assert float((gradient != 0).float().mean()) > 0.9


def test_other_resampling_is_refused(folder: Path) -> None:
    other = processor(folder)
    other.resample = 2
    with pytest.raises(ValueError, match=r"`resample` is 2; allowed: 3 \(bicubic\)"):
        Pixels(other)


@pytest.mark.parametrize("source", [17, 32, 224, 333, 500])
@pytest.mark.parametrize("target", [32, 70, 224, 336, 384])
def test_resizing_is_that_of_8_bit_images(source: int, target: int) -> None:
    from torchvision.transforms.v2 import functional

    images = bits(1, 3, source, 48, seed=source)
    images[:, 1] = 255 * (images[:, 1] > 127)
    how = functional.InterpolationMode.BICUBIC
    for size in ((target, 48), (48, target), (target, 31)):
        theirs = functional.resize(images, list(size), interpolation=how, antialias=True)
        assert torch.equal(resize_bits(images.float(), size), theirs.float())


def test_resizing_in_floats_differs_by_a_level_or_so() -> None:
    """How far off the plain way would be: this is why the resizing is one of our own."""
    noise = bits(1, 3, 500, 333).float()

    def off(images: Tensor) -> float:
        size = (336, 336)
        plain = torch.nn.functional.interpolate(images, size, mode="bicubic", antialias=True)
        return float((resize_bits(images, size) - plain.clamp(0, 255)).abs().max())

    assert 0.5 < off(noise / 2 + 64) < 2
    assert 5 < off(noise) < 30  # what overshoots is clamped between the two axes as well


def test_gradients_of_resizing_are_those_of_its_weights() -> None:
    """Rounding is passed through, clamping is not."""
    points = torch.full((1, 1, 8, 8), 100.0, requires_grad=True)
    (gradient,) = torch.autograd.grad(resize_bits(points, (4, 12)).sum(), points)
    assert float(gradient.sum()) == pytest.approx(48, rel=1e-3)
    stripes = torch.tensor([0.0, 255.0]).repeat(4).expand(1, 1, 8, 8).clone().requires_grad_()
    resized = resize_bits(stripes, (8, 40))
    clamped = (resized == 0) | (resized == 255)
    assert clamped.any()
    (gradient,) = torch.autograd.grad(resized[clamped].sum(), stripes)
    assert float(gradient.abs().sum()) < float(clamped.sum())

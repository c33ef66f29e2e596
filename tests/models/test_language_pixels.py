"""Images as a model's processor sees them: to the last bit, and with gradients."""

from dataclasses import dataclass
from functools import partial
from itertools import product
from typing import Any

import pytest
import torch
import transformers
from PIL import Image
from torch import Tensor

from bench.catalogue.language_families import FAMILIES as LANGUAGE_FAMILIES
from bench.core.torchvision_shim import ensure_torchvision
from bench.models.language.chat import Chat
from bench.models.language.pixels import Pixels
from bench.models.language.resizing import resize_bits
from bench.models.language.verification import verify_pixels
from tests.support.small_families import FAMILIES, without_num2words
from tests.support.small_language import SMALL
from tests.support.small_qwen import KINDS, small_qwen

ensure_torchvision()

EVERY = {**SMALL, **{kind: partial(small_qwen, kind) for kind in KINDS}, **FAMILIES}

# square and not, of the small towers' size, smaller, larger, and of very long sides
SIZES = [(32, 32), (20, 20), (64, 64), (40, 70), (70, 40), (32, 64), (33, 97), (150, 31), (96, 96)]


def bits(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8)


@dataclass
class Made:
    """A processor, and what the project makes of it."""

    processor: Any
    pixels: Pixels
    text: str

    def inputs(self, images: list[Any]) -> dict[str, Tensor]:
        """What the processor makes of images that are not differentiable."""
        texts, nested = [self.text] * len(images), [[image] for image in images]
        found = self.processor(text=texts, images=nested)
        found.pop("labels", None)
        return dict(found.convert_to_tensors("pt"))


@pytest.fixture(scope="module", params=list(EVERY))
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Made:
    place = tmp_path_factory.mktemp(request.param)
    with pytest.MonkeyPatch.context() as patch:
        without_num2words(patch)
        EVERY[request.param](place)
        processor = transformers.AutoProcessor.from_pretrained(place)
    chat = Chat(processor, [], LANGUAGE_FAMILIES[request.param])
    return Made(processor, Pixels(processor, chat), chat.blank())


@pytest.mark.parametrize("size", SIZES)
def test_inputs_are_the_processors_to_the_last_bit(made: Made, size: tuple[int, int]) -> None:
    images = bits(2, 3, *size)
    images[1] = 255 * (images[1] > 127)  # noise of black and white overshoots most
    theirs = made.inputs(list(images))
    # by division, and as an accelerator divides
    for given in (images.float() / 255, images.float() * torch.tensor(1 / 255)):
        ours = made.pixels(given)
        assert "pixel_values" in ours
        for name, value in ours.items():
            assert torch.equal(value, theirs[name]), name


@pytest.mark.parametrize("size", [(32, 32), (40, 70)])
def test_pil_and_arrays_are_seen_alike(made: Made, size: tuple[int, int]) -> None:
    """A user hands over pictures, not tensors."""
    images = bits(1, 3, *size)
    theirs = made.inputs([Image.fromarray(images[0].permute(1, 2, 0).numpy())])
    assert torch.equal(made.pixels(images.float() / 255)["pixel_values"], theirs["pixel_values"])


def test_every_pixel_that_is_seen_has_a_gradient(made: Made) -> None:
    points = (bits(1, 3, 40, 40).float() / 255).requires_grad_()
    values = made.pixels(points)["pixel_values"]
    (gradient,) = torch.autograd.grad(values.square().sum(), points)
    assert float((gradient != 0).float().mean()) > 0.9


def test_a_model_that_is_loaded_is_verified(made: Made) -> None:
    assert verify_pixels(made.pixels) == "verified on 6 images, largest difference 0"


class ImagesAlone:
    """Has an image processor of a family of which no small model is made here."""

    def __init__(self, name: str, **settings: Any) -> None:
        self.image_processor = getattr(transformers, name)(**settings)
        self.text_inputs = frozenset({"num_patches", "rows", "cols"})

    def __call__(self, text: list[str], images: list[list[Tensor]], return_tensors: str) -> Any:
        return self.image_processor([image for [image] in images], return_tensors=return_tensors)

    def blank(self) -> str:
        return ""


@pytest.mark.parametrize(
    "name",
    [
        *("Llama4ImageProcessor", "PixtralImageProcessor"),
        "Glm4vImageProcessor",
    ],
)
def test_image_processors_of_other_families_are_verified(name: str) -> None:
    other: Any = ImagesAlone(name)
    assert verify_pixels(Pixels(other, other)).endswith("largest difference 0")


def test_an_image_processor_that_resizes_otherwise_is_refused() -> None:
    """In numbers from 0 to 1, which are not rounded to 8 bits."""
    other: Any = ImagesAlone("Molmo2ImageProcessor")
    with pytest.raises(ValueError, match=r"differs from the processor's by 0\.0039"):
        verify_pixels(Pixels(other, other))


def test_an_image_processor_without_a_mean_is_refused() -> None:
    other: Any = ImagesAlone("Pix2StructImageProcessor")
    with pytest.raises(ValueError, match="Pix2StructImageProcessor has no `image_mean`"):
        Pixels(other, other)


def test_a_processor_that_returns_lists_is_refused() -> None:
    class WithGrids(ImagesAlone):
        def __call__(self, *given: Any, **more: Any) -> Any:
            return {**super().__call__(*given, **more), "grids": [1, 2]}

    refused: Any = WithGrids("GotOcr2ImageProcessor")
    with pytest.raises(ValueError, match="the processor's grids is a list, no tensor"):
        verify_pixels(Pixels(refused, refused))


@pytest.mark.parametrize("made", ["internvl"], indirect=True)
def test_preprocessing_that_differs_is_refused_with_the_largest_difference(
    made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As by resizing in floats, which 8-bit images are not resized by."""

    def in_floats(images: Tensor, size: tuple[int, int], kernel: str) -> Tensor:
        mode = "bicubic" if kernel == "lanczos" else kernel
        return torch.nn.functional.interpolate(images.double(), size, mode=mode).to(images.dtype)

    monkeypatch.setattr("bench.models.language.pixels.resize_bits", in_floats)
    with pytest.raises(ValueError, match=r"differs from the processor's by \d.* allowed: 1e-06"):
        verify_pixels(made.pixels)


@pytest.mark.parametrize("made", ["internvl"], indirect=True)
def test_what_is_no_number_is_not_equal(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "bench.models.language.pixels.resize_bits",
        lambda images, size, kernel: resize_bits(images, size, kernel) * float("nan"),
    )
    with pytest.raises(ValueError, match="differs from the processor's by inf"):
        verify_pixels(made.pixels)


@pytest.mark.parametrize("made", ["internvl"], indirect=True)
def test_preprocessing_without_gradients_is_refused(
    made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = made.processor.image_processor.rescale_and_normalize
    monkeypatch.setattr(
        made.processor.image_processor, "rescale_and_normalize",
        lambda images, *given, **more: process(images.detach(), *given, **more),
    )  # fmt: skip
    with pytest.raises(ValueError, match="no gradient"):
        verify_pixels(made.pixels)


@pytest.mark.parametrize("made", ["internvl"], indirect=True)
def test_a_processor_of_another_library_is_refused(made: Made) -> None:
    class OfPictures:
        backend = "pil"

    class Other:
        image_processor = OfPictures()

    with pytest.raises(ValueError, match="OfPictures has no torchvision backend"):
        Pixels(Other(), made.pixels)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("kernel", "source", "target"),
    [
        *(("bicubic", *each) for each in product([17, 32, 224, 333, 500], [32, 70, 224, 336, 384])),
        *product(["bilinear", "lanczos"], [17, 333], [70, 224]),
    ],
)
def test_resizing_is_that_of_8_bit_images(kernel: str, source: int, target: int) -> None:
    from torchvision.transforms.v2 import functional

    images = bits(1, 3, source, 48, seed=source)
    images[:, 1] = 255 * (images[:, 1] > 127)
    how = functional.InterpolationMode(kernel)
    for size in ((target, 48), (48, target), (target, 31)):
        theirs = functional.resize(images, list(size), interpolation=how, antialias=True)
        assert torch.equal(resize_bits(images.float(), size, kernel), theirs.float())


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

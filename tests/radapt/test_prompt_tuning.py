"""R-TPT on the embedded CLIP: prompts, tuning, the views' vote, and gradients."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image, ImageOps
from torch import Tensor

from bench.nano.nano_clip import load_pair
from radapt.defences import augmix
from radapt.defences.defence import Base, defended_logits
from radapt.defences.prompt_tuning import PromptTuning, random_crop
from radapt.defences.prompts import tunable_prompts
from radapt.tower import CLIP_MEAN, CLIP_STD, normalise

NAMES = ("dog", "ship", "sports car")
WORDS = "a photo of a"
SMALL = PromptTuning(views=4, selected=0.5, steps=2, rate=0.1, neighbours=2, temperature=0.5)


@pytest.fixture(scope="module")
def base() -> Base:
    clip, tokenizer = load_pair("clip")
    clip.double().requires_grad_(False)

    def embed(images: Tensor) -> Tensor:
        embeddings: Tensor = clip.visual(normalise(images, CLIP_MEAN, CLIP_STD))
        return embeddings

    def embed_texts(texts: Sequence[str]) -> Tensor:
        embeddings: Tensor = clip.encode_text(tokenizer(list(texts)))
        return embeddings

    found = Base(embed, embed_texts, None, NAMES, clip.token_embedding, 10.0)
    texts = embed_texts([f"{WORDS} {name}." for name in NAMES])
    return replace(found, classes=F.normalize(texts, dim=1).T)


@pytest.fixture
def images() -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.rand((2, 3, 32, 32), generator=generator, dtype=torch.float64)


def test_prompts_with_their_own_words_are_the_texts(base: Base) -> None:
    prompts = tunable_prompts(base, WORDS)
    assert base.classes is not None
    assert torch.allclose(prompts.vectors(prompts.context).T, base.classes)
    moved = prompts.vectors(-prompts.context)
    assert not torch.allclose(moved.T, base.classes, atol=1e-3)
    assert not base.token_embedding._forward_hooks  # type: ignore[union-attr]
    with pytest.raises(ValueError, match="needs classes and a text encoder"):
        tunable_prompts(replace(base, token_embedding=None), WORDS)


def test_the_vote_is_that_of_torchs_adamw(base: Base, images: Tensor) -> None:
    prompts = tunable_prompts(base, WORDS)
    views = torch.cat([images, images.flip(-1)])
    with torch.no_grad():
        units = base.unit(views)
    context = torch.nn.Parameter(prompts.context.clone())
    optimizer = torch.optim.AdamW([context], lr=0.1)
    chosen: list[int] = []
    for _ in range(2):
        probabilities = (10 * units @ prompts.vectors(context).T).softmax(dim=1)
        entropy = -(probabilities * probabilities.log()).sum(dim=1)
        chosen = chosen or entropy.argsort()[:2].tolist()
        optimizer.zero_grad()
        entropy[chosen].mean().backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    tuned = 10 * units @ prompts.vectors(context.detach()).T
    nearest = []
    for place, unit in enumerate(units):
        others = [float(unit @ other) for at, other in enumerate(units) if at != place]
        nearest.append(sum(sorted(others)[-2:]) / 2)
    expected = (torch.tensor(nearest).double() / 0.5).softmax(dim=0) @ tuned
    for second_order in (False, True):
        found = SMALL.vote(base, prompts, views, second_order).detach()
        assert torch.allclose(found, expected)


def test_without_tuning_and_with_equal_views_it_is_zero_shot(
    base: Base, images: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("radapt.defences.prompt_tuning.random_crop", lambda image: image)
    found = replace(SMALL, steps=0).logits(base, images, unrolled=True)
    assert torch.allclose(found, base.logits(images))


@pytest.mark.parametrize("mixed", [False, True])
def test_gradients(
    mixed: bool, base: Base, images: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    defence = replace(SMALL, augmix=mixed)
    # without the operations in 8 bits, whose gradient is not their derivative
    smooth = [each for each in augmix.OPERATIONS if each.__name__ not in ("equalize", "posterize")]
    monkeypatch.setattr(augmix, "OPERATIONS", smooth)
    direction = torch.tensor([1.0, -0.5, 0.2]).double()
    along = torch.randn(images.shape, generator=torch.Generator().manual_seed(2)).double()

    def value(points: Tensor, way: str) -> Tensor:
        torch.manual_seed(0)
        return (defended_logits(defence, base, points, way) * direction).sum()  # type: ignore[arg-type]

    slopes, values = {}, {}
    for way in defence.gradients:
        given = images.clone().requires_grad_()
        result = value(given, way)
        (gradient,) = torch.autograd.grad(result, given)
        slopes[way], values[way] = float((gradient * along).sum()), result.item()
    step = 1e-6
    with torch.no_grad():
        ends = [float(value(images + sign * step * along, "exact")) for sign in (1, -1)]
    assert slopes["exact"] == pytest.approx((ends[0] - ends[1]) / (2 * step), rel=1e-4)
    assert slopes["identity"] != pytest.approx(slopes["exact"], rel=1e-2)
    plain = images.clone().requires_grad_()
    assert torch.allclose(defence.undefended(base, plain), base.logits(plain))  # the same prompts
    (gradient,) = torch.autograd.grad((base.logits(plain) * direction).sum(), plain)
    assert slopes["base"] == pytest.approx(float((gradient * along).sum()))
    assert values["identity"] == pytest.approx(values["exact"])
    assert values["base"] == pytest.approx(values["exact"])


def test_crops_are_parts_of_the_image() -> None:
    ramp = torch.arange(32.0).expand(3, 32, 32) / 31
    torch.manual_seed(0)
    crops = torch.stack([random_crop(ramp) for _ in range(20)])
    assert crops.shape == (20, 3, 32, 32)
    assert float(crops.min()) >= 0 and float(crops.max()) <= 1
    slopes = crops[:, 0, 0, -1] - crops[:, 0, 0, 0]
    assert (slopes > 0).any() and (slopes < 0).any(), "some are mirrored"
    assert float(slopes.abs().std()) > 0.05, "sizes differ"


def moved(*rows: float) -> Callable[[Image.Image], Image.Image]:
    return lambda image: image.transform(
        image.size, Image.Transform.AFFINE, rows, resample=Image.Resampling.BILINEAR
    )


PILLOWS: dict[str, Callable[[Image.Image], Image.Image]] = {
    "autocontrast": ImageOps.autocontrast,
    "equalize": ImageOps.equalize,
    "posterize": lambda image: ImageOps.posterize(image, 4),
    "rotate": lambda image: image.rotate(-2, resample=Image.Resampling.BILINEAR),
    "solarize": lambda image: ImageOps.solarize(image, 256 - 23),
    "shear_x": moved(1, -0.027, 0, 0, 1, 0),
    "shear_y": moved(1, 0, 0, -0.027, 1, 0),
    "translate_x": moved(1, 0, -2, 0, 1, 0),
    "translate_y": moved(1, 0, 0, 0, 1, -1),
}


def test_the_operations_of_augmix_are_pillows() -> None:
    levels = np.random.default_rng(0).integers(30, 250, (48, 72, 3), dtype=np.uint8)
    image = torch.from_numpy(levels).double().permute(2, 0, 1) / 255
    assert {each.__name__ for each in augmix.OPERATIONS} == set(PILLOWS)
    for operation in augmix.OPERATIONS:
        expected = np.asarray(PILLOWS[operation.__name__](Image.fromarray(levels)))
        found = operation(image, 0.9, -1).permute(1, 2, 0).numpy() * 255
        assert not np.allclose(expected, levels, atol=9), operation.__name__
        # Pillow cuts off the rest in 8 bits
        assert np.abs(found - expected).max() <= 1 + 1e-6, operation.__name__


def test_augmix_weighs_three_chains_and_the_image(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[float, float]] = []

    def raised(image: Tensor, level: float, sign: float) -> Tensor:
        seen.append((level, sign))
        return image + 1

    monkeypatch.setattr(augmix, "OPERATIONS", (raised,))
    torch.manual_seed(0)
    image = torch.zeros(1, 1, 1)
    found = torch.cat([augmix.augmix(image).flatten() for _ in range(400)])
    # per image 3 chains of 2 operations in the mean, which have half of the weight
    assert len(seen) / 400 == pytest.approx(6, abs=0.3)
    assert float(found.mean()) == pytest.approx(1, abs=0.1)
    assert 0 <= float(found.min()) < 0.1 and 2 < float(found.max()) <= 3
    levels, signs = zip(*seen, strict=True)
    assert 0.1 <= min(levels) < 0.11 and 0.99 < max(levels) <= 1 and set(signs) == {-1, 1}

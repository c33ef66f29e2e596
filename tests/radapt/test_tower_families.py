"""R-Adapt on EVA, PE-Core, stems, DINO and the towers of vision-language models."""

import copy
import math
import pickle
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from radapt import (
    Anchor,
    FitOptions,
    GaussianFilter,
    PerGrid,
    adapt,
    extract_anchor,
    fit_anchor,
    resize_anchor,
)
from radapt.graft import graft, units
from radapt.normalisations import CLIP_MEAN, CLIP_STD
from radapt.tower import (
    attention_path,
    embedding,
    image_size,
    normalise,
    run,
    token_grid,
)
from tests.support.tower_families import FAMILIES, PREFIX, build_family, family_images
from tests.support.towers import SIZE, WIDTH

HALVES = (0.5, 0.5, 0.5)
OWN: dict[str, Any] = {"mean": HALVES, "std": HALVES}
GRID_FREE = ("pixtral", "qwen2-vl")  # all positions are rotary
every_family = pytest.mark.parametrize("name", FAMILIES)


def inputs(images: Tensor) -> Tensor:
    return normalise(images, HALVES, HALVES)


def values(output: Any) -> Tensor:
    return output if isinstance(output, Tensor) else output.last_hidden_state  # type: ignore[no-any-return]


def features(tower: nn.Module, images: Tensor) -> Tensor:
    """Return a tower's output for images in [0,1]."""
    return values(run(tower, inputs(images)))


def first_response(tower: nn.Module, images: Tensor) -> Tensor:
    """Return the output of the first attention module `[...,n,d]`, after hooks of the tower."""
    found: list[Tensor] = []
    handle = tower.get_submodule(attention_path(tower)).register_forward_hook(
        lambda module, args, output: found.append(
            output[0] if isinstance(output, tuple) else output
        )
    )
    run(tower, inputs(images))
    handle.remove()
    return found[0]


@every_family
def test_no_anchor_no_filter_is_the_identity_to_the_last_bit(name: str) -> None:
    tower = build_family(name)
    same = adapt(tower, extract_anchor(tower, **OWN), alpha=0, cutoff=None)
    assert torch.equal(features(same, family_images()), features(tower, family_images()))


@every_family
def test_the_first_attention_is_mixed_with_its_response_to_white(name: str) -> None:
    """Of the reference module of the tower as its library made it, with prefix tokens."""
    tower = build_family(name)
    anchor = extract_anchor(tower, **OWN)
    adapted = adapt(tower, anchor, alpha=1.4, cutoff=None)
    images = family_images()
    plain, white = (first_response(tower, each) for each in (images, torch.ones_like(images)))
    expected = -0.4 * plain + 1.4 * white
    if name == "mllama":  # tokens that pad a tile, and tiles that pad an image, stay as they are
        tokens = 1 + (SIZE // 8) ** 2
        expected[:, tokens:] = plain[:, tokens:]
    found = first_response(adapted, images)
    assert torch.allclose(found, expected, atol=1e-5)
    assert not torch.allclose(found, plain, atol=1e-2)
    assert not torch.allclose(features(adapted, images), features(tower, images), atol=1e-3)
    rows, columns = token_grid(tower)
    tokens = 1 if name in GRID_FREE else PREFIX.get(name, 1) + rows * columns
    assert anchor.value.shape == (1, tokens, WIDTH)


@every_family
def test_at_alpha_one_a_white_image_sees_no_change(name: str) -> None:
    tower = build_family(name)
    white = torch.ones(1, 3, SIZE, SIZE)
    adapted = adapt(tower, extract_anchor(tower, **OWN), alpha=1, cutoff=40, **OWN)
    assert torch.allclose(features(adapted, white), features(tower, white), atol=1e-4)


@every_family
def test_pixels_in_front_of_the_tower_are_filtered(name: str) -> None:
    """As [0,1] pixels before normalisation, and clamped to [0,1]."""
    tower = build_family(name)
    images = 3 * family_images() - 1
    adapted = adapt(tower, extract_anchor(tower, **OWN), alpha=0, cutoff=12, **OWN)
    expected = features(tower, GaussianFilter(12)(images))
    assert torch.allclose(features(adapted, images), expected, atol=1e-4)
    assert not torch.allclose(features(tower, images), expected, atol=1e-3)


@every_family
def test_gradients_reach_the_pixels_and_the_anchor(name: str) -> None:
    tower = build_family(name).double()
    anchor = extract_anchor(tower, family_images(1).double(), **OWN)
    value = anchor.value.clone().requires_grad_(True)
    kept = Anchor(value, anchor.tower, anchor.size, anchor.origin)
    adapted = adapt(tower, kept, alpha=0.8, cutoff=40, **OWN)
    point = (family_images(1).double() * 0.5 + 0.25).requires_grad_(True)

    def loss() -> Tensor:
        return features(adapted, point).sin().sum()

    by_pixel, by_anchor = torch.autograd.grad(loss(), (point, value))
    for tensor, gradient in ((point, by_pixel), (value, by_anchor)):
        step = 1e-3 * gradient / gradient.norm()
        with torch.no_grad():
            tensor += step
            high = float(loss())
            tensor -= 2 * step
            low = float(loss())
            tensor += step
        # some norms of transformers compute in single precision
        assert (high - low) / 2e-3 == pytest.approx(float(gradient.norm()), rel=1e-2)


@every_family
def test_copies_stay_adapted_and_the_base_stays_as_it_was(name: str) -> None:
    tower = build_family(name)
    before = features(tower, family_images())
    adapted = adapt(tower, extract_anchor(tower, **OWN), alpha=0.8, cutoff=40, **OWN)
    assert list(adapted.state_dict()) == list(tower.state_dict())
    expected = features(adapted, family_images())
    for other in (copy.deepcopy(adapted), pickle.loads(pickle.dumps(adapted))):
        assert torch.equal(features(other, family_images()), expected)
    assert torch.equal(features(tower, family_images()), before)


@every_family
def test_units_divide_a_tower_and_make_it_whole(name: str) -> None:
    """Scales and gates of a block, registers, rotary positions and stems among them."""
    base, donor = build_family(name, 0), build_family(name, 1)
    assert units(base) == ("Emb", "B1", "B2", "Head")
    images = family_images()
    assert torch.equal(features(graft(base, donor, ["..Head"]), images), features(donor, images))
    theirs = {id(parameter) for parameter in donor.parameters()}
    halves = [f"B{number}-{half}" for number in (1, 2) for half in ("Attn", "MLP")]
    counts = [
        sum(id(each) in theirs for each in graft(base, donor, [unit]).parameters())
        for unit in ("Emb", *halves, "Head")
    ]
    assert sum(counts) == len(theirs)
    assert all(counts[:-1])
    scales = ("gamma_1", "lambda_1", "layer_scale1.lambda1")
    grafted = graft(base, donor, ["B1-Attn"])
    for path, parameter in grafted.named_parameters():
        if path.endswith(scales):
            assert (id(parameter) in theirs) == (".0." in path)


@pytest.mark.parametrize("name", ["pe-core", "vitamin", "dinov3", "siglip2-naflex"])
def test_an_anchor_is_fitted(name: str) -> None:
    tower = build_family(name)
    rows: list[float] = []
    fit_anchor(
        tower, family_images(8), start=extract_anchor(tower, **OWN), alpha=0.8, cutoff=40,
        options=FitOptions(steps=2, epochs=8, batch=4, lr=0.05), **OWN,
        report=lambda epoch: rows.append(epoch.loss),
    )  # fmt: skip
    assert rows[-1] < 0.9 * rows[0]


@pytest.mark.parametrize("name", ["dinov2", "dinov2-registers", "dinov3"])
def test_a_tower_that_resizes_its_positions_takes_an_anchor_of_another_size(name: str) -> None:
    tower = build_family(name)
    anchor = extract_anchor(tower, size=(48, 32), **OWN)
    assert anchor.value.shape == (1, PREFIX.get(name, 1) + 24, WIDTH)
    adapted = adapt(tower, anchor, alpha=1, cutoff=40, **OWN)
    white = torch.ones(1, 3, 48, 32)
    assert torch.allclose(features(adapted, white), features(tower, white), atol=1e-4)
    with pytest.raises(ValueError, match="use an anchor for this image size"):
        features(adapted, family_images())


def padded(images: list[Tensor], fill: float) -> dict[str, Tensor]:
    """Return SigLIP2-NaFlex's arguments for images of any sizes, as its processor pads them."""
    from transformers.models.siglip2.image_processing_siglip2 import (
        convert_image_to_patches,
        pad_along_first_dim,
    )

    parts = [
        pad_along_first_dim(convert_image_to_patches(image, 8), 24, pad_value=fill)  # type: ignore[no-untyped-call]
        for image in images
    ]
    patches, masks = zip(*parts, strict=True)
    shapes = torch.tensor([[image.shape[1] // 8, image.shape[2] // 8] for image in images])
    return {
        "pixel_values": torch.stack(patches),
        "pixel_attention_mask": torch.stack(masks),
        "spatial_shapes": shapes,
    }


def test_naflex_images_of_any_grid_are_adapted_each_by_itself_without_padding() -> None:
    tower = build_family("siglip2-naflex")
    adapted = adapt(tower, PerGrid(tower, **OWN), alpha=0.8, cutoff=12, **OWN)
    images = [family_images(1, size)[0] for size in ((32, 48), (16, 24), (32, 32))]
    given = padded([inputs(image) for image in images], fill=7.0)
    together = adapted(**given).pooler_output
    alone = [embedding(adapted, inputs(image[None])) for image in images]
    assert torch.allclose(together, torch.cat(alone), atol=1e-4)
    arguments = tuple(given.values())
    assert torch.equal(adapted(*arguments).pooler_output, together)

    found: list[Tensor] = []
    for each in (tower, adapted):
        each.get_submodule("encoder.layers.0.self_attn").register_forward_hook(
            lambda module, args, output: found.append(output[0])
        )
    smooth = [inputs(GaussianFilter(12)(image[None])[0]) for image in images]
    tower(**padded(smooth, fill=7.0))
    adapted(**given)
    plain, mixed = found
    counts = [24, 6, 16]
    for row, (count, image) in enumerate(zip(counts, images, strict=True)):
        white = extract_anchor(tower, torch.ones_like(image[None]), **OWN).value[0]
        expected = 0.2 * plain[row, :count] + 0.8 * white
        assert torch.allclose(mixed[row, :count], expected, atol=1e-5)
        assert torch.allclose(mixed[row, count:], plain[row, count:], atol=1e-5)


def test_a_naflex_anchor_of_one_grid_is_interpolated_as_positions_are() -> None:
    """At alpha 1 the response is the anchor, resized as the tower resizes its positions."""
    tower = build_family("siglip2-naflex")
    anchor = extract_anchor(tower, **OWN)
    assert anchor.size == (32, 32)
    assert resize_anchor(anchor, tower) is anchor
    adapted = adapt(tower, anchor, alpha=1, cutoff=None)
    found = first_response(adapted, family_images(1, (16, 16)))[0]
    resize = tower.get_submodule("embeddings").resize_positional_embeddings
    square = anchor.value.reshape(4, 4, WIDTH)
    expected = resize(square, torch.tensor([[2, 2]]), 4)[0]  # type: ignore[operator]
    assert torch.allclose(found, expected, atol=1e-5)


def test_pixtral_images_are_adapted_within_their_own_sizes() -> None:
    tower = build_family("pixtral")
    adapted = adapt(tower, extract_anchor(tower, **OWN), alpha=0.8, cutoff=12, **OWN)
    sizes = [(32, 16), (24, 32), (32, 32)]
    images = [family_images(1, size)[0] for size in sizes]
    batch = torch.full((3, 3, 32, 32), 9.0)
    for row, image in enumerate(images):
        batch[row, :, : image.shape[1], : image.shape[2]] = inputs(image)
    together = adapted(batch, torch.tensor(sizes)).last_hidden_state[0]
    alone = [features(adapted, image[None])[0] for image in images]
    assert torch.allclose(together, torch.cat(alone), atol=1e-4)


def tiled(tiles: Tensor, ids: list[int], counts: list[int]) -> dict[str, Tensor]:
    """Return Mllama's arguments for images of up to four tiles."""
    mask = torch.zeros(len(ids), 1, 4, dtype=torch.long)
    for row, count in enumerate(counts):
        mask[row, 0, :count] = 1
    tiles = tiles * mask[..., None, None, None]
    return {
        "pixel_values": tiles,
        "aspect_ratio_ids": torch.tensor(ids)[:, None],
        "aspect_ratio_mask": mask,
    }


def test_each_tile_of_an_mllama_image_gets_the_anchor_of_a_tile() -> None:
    tower = build_family("mllama")
    anchor = extract_anchor(tower, **OWN)
    adapted = adapt(tower, anchor, alpha=0.8, cutoff=12, **OWN)
    images = family_images(8).reshape(2, 1, 4, 3, SIZE, SIZE)
    found: list[Tensor] = []
    for each in (tower, adapted):
        each.get_submodule("transformer.layers.0.self_attn").register_forward_hook(
            lambda module, args, output: found.append(output[0])
        )
    arrangement = ([6, 2], [4, 2])  # two by two tiles, and one by two
    tower(**tiled(inputs(GaussianFilter(12)(images)), *arrangement))
    adapted(**tiled(inputs(images), *arrangement))
    plain, mixed = (each.reshape(2, 4, 24, WIDTH) for each in found)
    for row, count in enumerate(arrangement[1]):
        expected = 0.2 * plain[row, :count, :17] + 0.8 * anchor.value[0]
        assert torch.allclose(mixed[row, :count, :17], expected, atol=1e-5)
        assert torch.allclose(mixed[row, :, 17:], plain[row, :, 17:], atol=1e-5)
        assert torch.allclose(mixed[row, count:], plain[row, count:], atol=1e-5)


def test_an_image_of_another_size_than_mllamas_tiles_is_refused() -> None:
    tower = build_family("mllama")
    adapted = adapt(tower, extract_anchor(tower, **OWN), alpha=0.8, cutoff=None)
    module = adapted.get_submodule(attention_path(adapted))
    tokens = torch.zeros(1, 25, WIDTH)
    with pytest.raises(ValueError, match="25 tokens, which are not tiles of 24"):
        module(tokens, attention_mask=torch.zeros(1, 1, 25, 25))


def test_a_tower_without_an_embedding_of_an_image_says_so() -> None:
    for name in ("qwen2-vl", "pixtral", "mllama", "idefics3", "intern-vit"):
        with pytest.raises(TypeError, match="has no embedding of an image"):
            embedding(build_family(name), inputs(family_images()))
    assert embedding(build_family("siglip2-naflex"), inputs(family_images())).shape == (2, WIDTH)


def test_the_grid_of_a_stem_follows_its_stride() -> None:
    """Also where open_clip's image size is not the trunk's, as for ViTamin-XL-384."""
    tower = build_family("vitamin")
    assert (image_size(tower), token_grid(tower)) == ((32, 32), (2, 2))
    tower.get_submodule("trunk").pos_embed = None
    tower.image_size = (64, 64)  # type: ignore[assignment]
    anchor = extract_anchor(tower)
    assert anchor.value.shape == (1, 16, WIDTH)
    adapted = adapt(tower, anchor, alpha=1, cutoff=None)
    assert math.isfinite(float(adapted(normalise(family_images(1, (64, 64)))).sum()))


def test_normalisation_of_open_clips_towers_is_the_one_that_it_notes() -> None:
    tower = build_family("mobileclip-b")
    tower.image_mean, tower.image_std = (0.0,) * 3, (1.0,) * 3  # type: ignore[assignment]
    given = extract_anchor(tower, mean=(0.0,) * 3, std=(1.0,) * 3).value
    assert torch.equal(extract_anchor(tower).value, given)
    assert not torch.allclose(
        extract_anchor(tower, mean=CLIP_MEAN, std=CLIP_STD).value, given, atol=1e-4
    )


def test_towers_of_patches_in_an_order_that_is_not_known_are_refused() -> None:
    """As those of GLM-4V and Qwen3.5, whose parts have the names of Qwen2-VL's."""
    tower: Any = build_family("qwen2-vl")
    tower.config.model_type = "glm4v_vision"
    with pytest.raises(TypeError, match="takes them in an order that is not known"):
        extract_anchor(tower, **OWN)

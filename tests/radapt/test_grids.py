"""R-Adapt on towers that take patches of images of any size: Qwen2.5-VL's and Qwen3-VL's."""

import copy
import pickle
from typing import Any

import pytest
import torch
import transformers
from torch import Tensor, nn
from transformers import vision_utils

from radapt import Anchor, FitOptions, GaussianFilter, PerGrid, adapt, extract_anchor, fit_anchor
from radapt.anchor import resize_anchor
from radapt.graft import graft, units
from radapt.grids import (
    Grids,
    grid_rows,
    grids_of,
    on_frames,
    patch_frames,
    patchify,
    token_order,
    unpatch_frames,
)
from radapt.hooks import Mix
from radapt.tower import describe, normalisation, normalise
from tests.support.small_language import TEXT
from tests.support.small_qwen import KINDS, VISION, WIDTH, build
from tests.support.towers import hugging_face

every_kind = pytest.mark.parametrize("kind", KINDS)
GRIDS = ((4, 4), (6, 4), (4, 6), (10, 6))


def order_of(tower: nn.Module) -> Grids:
    how = grids_of(tower)
    assert how is not None
    return how


def image(grid: tuple[int, int], how: Grids, seed: int = 0, count: int = 1) -> Tensor:
    size = (count, 3, grid[0] * how.patch, grid[1] * how.patch)
    return torch.rand(size, generator=torch.Generator().manual_seed(seed))


def tokens(tower: nn.Module, images: list[Tensor]) -> Tensor:
    """Return what a tower gives the language model of images in [0,1] of any sizes."""
    how = order_of(tower)
    inputs = [normalise(each, *normalisation(tower)) for each in images]
    rows = [grid_rows(how.of(tuple(each.shape[-2:])), len(each)) for each in images]  # type: ignore[arg-type]
    return call(tower, torch.cat([patchify(each, how) for each in inputs]), torch.cat(rows))


def call(tower: nn.Module, patches: Tensor, grid_thw: Tensor) -> Tensor:
    output: Any = tower(patches, grid_thw=grid_thw)
    return torch.cat([output.pooler_output, *(getattr(output, "deepstack_features", None) or [])])


def first_response(tower: nn.Module, images: list[Tensor]) -> Tensor:
    """Return what follows the first attention, before the second half of its block."""
    found: list[Tensor] = []
    norm = tower.get_submodule("blocks.0.norm2")
    handle = norm.register_forward_pre_hook(lambda module, args: found.append(args[0]))
    tokens(tower, images)
    handle.remove()
    return found[0]


@every_kind
@pytest.mark.parametrize("grid", GRIDS)
def test_patches_are_put_together_again_exactly(kind: str, grid: tuple[int, int]) -> None:
    how = order_of(build(kind))
    frames = torch.rand(3 * how.frames, 3, grid[0] * how.patch, grid[1] * how.patch)
    patches = patch_frames(frames, how)
    assert torch.equal(unpatch_frames(patches, grid, how), frames)
    assert torch.equal(patch_frames(unpatch_frames(patches, grid, how), how), patches)


@pytest.mark.parametrize("grid", [(2, 2), (8, 8), (10, 6), (12, 14), (34, 6)])
def test_windows_are_those_of_transformers(grid: tuple[int, int]) -> None:
    how = Grids(patch=14, frames=2, merge=2, window=112, side=None)
    squares, _ = vision_utils.get_vision_window_index(grid_rows(grid, 1), 2, 112, 14)
    blocks = token_order(grid, Grids(14, 2, 2, None, None)).reshape(-1, 4)
    assert torch.equal(token_order(grid, how), blocks[squares].flatten())
    rows = vision_utils.get_vision_position_ids(grid_rows(grid, 1), 2)
    assert torch.equal(blocks.flatten(), rows[:, 0] * grid[1] + rows[:, 1])


@every_kind
def test_grids_in_one_call_are_filtered_each_by_itself(kind: str) -> None:
    """As if [0,1] pixels were filtered before normalisation, in a call of several sizes."""
    tower = build(kind)
    how = order_of(tower)
    given = [image((4, 6), how, count=2), 3 * image((6, 4), how, 1) - 1, image((4, 6), how, 2)]
    for at in (224, None):
        adapted = adapt(tower, extract_anchor(tower), alpha=0, cutoff=12, cutoff_at=at)
        expected = tokens(tower, [GaussianFilter(12, at=at)(each) for each in given])
        assert torch.allclose(tokens(adapted, given), expected, atol=1e-4)
        assert not torch.allclose(tokens(tower, given), expected, atol=1e-2)


def test_frames_of_a_video_are_filtered_each_by_itself() -> None:
    how = Grids(patch=14, frames=2, merge=2, window=None, side=None)
    frames = torch.rand(6, 3, 56, 28)
    patches = patch_frames(frames, how)
    smooth = on_frames(GaussianFilter(12), patches, torch.tensor([[3, 4, 2]]), how)
    assert torch.equal(smooth, patch_frames(GaussianFilter(12)(frames), how))


@every_kind
def test_no_anchor_no_filter_is_the_identity_to_the_last_bit(kind: str) -> None:
    tower = build(kind)
    given = [image(grid, order_of(tower)) for grid in GRIDS]
    same = adapt(tower, extract_anchor(tower), alpha=0, cutoff=None)
    assert torch.equal(tokens(same, given), tokens(tower, given))


@every_kind
def test_adapting_changes_a_copy_and_no_weight(kind: str) -> None:
    tower = build(kind)
    given = [image(grid, order_of(tower)) for grid in GRIDS]
    before = tokens(tower, given)
    adapted = adapt(tower, extract_anchor(tower), alpha=0.8, cutoff=40)
    assert not torch.allclose(tokens(adapted, given), before, atol=1e-2)
    assert torch.equal(tokens(tower, given), before)
    assert list(adapted.state_dict()) == list(tower.state_dict())
    adapted.load_state_dict(tower.state_dict())
    assert [id(p) for p in adapted.parameters()] == [id(p) for p in tower.parameters()]
    with pytest.raises(ValueError, match="adapted already"):
        adapt(adapted, extract_anchor(tower), alpha=1, cutoff=None)


@every_kind
def test_a_block_without_its_tower_says_what_it_lacks(kind: str) -> None:
    tower = build(kind)
    adapted = adapt(tower, extract_anchor(tower), alpha=0.8, cutoff=None)
    turns = torch.rand(4, WIDTH // 2)
    with pytest.raises(ValueError, match="a block is called without its tower"):
        adapted.get_submodule("blocks.0")(
            torch.rand(4, WIDTH), torch.tensor([0, 4]), position_embeddings=(turns, turns)
        )


@pytest.mark.parametrize("grid", GRIDS)
def test_rotary_positions_alone_leave_a_white_image_one_answer(grid: tuple[int, int]) -> None:
    """The anchor is one vector: at every grid a white image sees no change at alpha 1."""
    tower = build("qwen2_5_vl")
    anchor = extract_anchor(tower)
    assert anchor.value.shape == (1, 1, WIDTH)
    assert anchor.origin == "uniform white image, one vector at every grid"
    how = order_of(tower)
    white = torch.ones_like(image(grid, how))
    at_grid = extract_anchor(tower, white).value
    assert at_grid.shape == (1, grid[0] * grid[1], WIDTH)
    assert torch.allclose(at_grid, anchor.value.expand_as(at_grid), atol=1e-5)
    adapted = adapt(tower, anchor, alpha=1, cutoff=None)
    assert torch.allclose(tokens(adapted, [white]), tokens(tower, [white]), atol=1e-4)


def test_learned_positions_make_the_answer_depend_on_token_and_grid() -> None:
    """An anchor of one grid is exact there; anchors per grid are everywhere."""
    tower = build("qwen3_vl")
    how = order_of(tower)
    anchor = extract_anchor(tower)
    assert anchor.value.shape == (1, 36, WIDTH)
    assert anchor.size == (96, 96)
    assert "uniform white image at 6x6 tokens, interpolated to other grids" in anchor.origin
    whites = [torch.ones_like(image(grid, how)) for grid in ((6, 6), (4, 8))]
    exact = [first_response(tower, [white]) for white in whites]
    one = adapt(tower, anchor, alpha=1, cutoff=None)
    assert torch.allclose(first_response(one, whites[:1]), exact[0], atol=1e-5)
    assert not torch.allclose(first_response(one, whites[1:]), exact[1], atol=1e-2)
    each = adapt(tower, PerGrid(tower), alpha=1, cutoff=None)
    for _ in range(2):  # extracted, then as it was kept
        assert torch.allclose(first_response(each, whites), torch.cat(exact), atol=1e-5)


@every_kind
def test_anchors_per_grid_come_from_another_tower(kind: str) -> None:
    """The response of the donor to a white image of the image's own size."""
    tower, donor = build(kind), build(kind)
    how = order_of(tower)
    with torch.no_grad():
        donor.get_submodule("blocks.0.attn.qkv").weight.neg_()  # type: ignore[operator, union-attr]
    given = [image((6, 4), how), image((4, 6), how)]
    adapted = adapt(tower, PerGrid(donor), alpha=0.5, cutoff=None)
    found = first_response(adapted, given)
    for part, size in zip(found.split(24), ((6, 4), (4, 6)), strict=True):
        anchor = extract_anchor(donor, torch.ones_like(image(size, how)))
        single = adapt(tower, anchor, alpha=0.5, cutoff=None)
        assert torch.allclose(part, first_response(single, [image(size, how)]), atol=1e-5)
    assert not torch.allclose(
        first_response(adapt(tower, PerGrid(tower), alpha=0.5, cutoff=None), given),
        found,
        atol=1e-2,
    )


@every_kind
@pytest.mark.parametrize("mix", ["interpolate", "add"])
def test_an_images_anchor_meets_its_own_tokens(kind: str, mix: Mix) -> None:
    """Of an image, in the right order: between images of other grids, where it is interpolated."""
    tower = build(kind)
    how = order_of(tower)
    given = image((6, 4), how)
    anchor = extract_anchor(tower, given)
    assert anchor.value.shape == (1, 24, WIDTH)
    others = [image((4, 6), how), given, image((10, 4), how)]
    plain = first_response(tower, others)
    adapted = adapt(tower, anchor, alpha=0.5, cutoff=None, mix=mix)
    mixed = first_response(adapted, others)
    middle = slice(24, 48)  # 0.5 A + 0.5 R with R = A
    if mix == "interpolate":
        assert torch.allclose(mixed[middle], plain[middle], atol=1e-4)
    assert not torch.allclose(mixed[:24], plain[:24], atol=1e-2)
    row_by_row = token_order((6, 4), how)
    part = (mixed if mix == "add" else plain)[middle] - plain[middle]
    expected = anchor.value[0, row_by_row] * (0.5 if mix == "add" else 0)
    assert torch.allclose(part, expected, atol=1e-4)


@every_kind
def test_several_images_are_treated_as_one_by_one(kind: str) -> None:
    tower = build(kind)
    how = order_of(tower)
    adapted = adapt(tower, extract_anchor(tower, image((4, 6), how)), alpha=0.8, cutoff=40)
    given = [image(grid, how, seed) for seed, grid in enumerate(GRIDS)]
    together = first_response(adapted, given)
    alone = torch.cat([first_response(adapted, [each]) for each in given])
    assert torch.allclose(together, alone, atol=1e-4)


@every_kind
def test_gradients_reach_the_pixels_and_the_anchor(kind: str) -> None:
    tower = build(kind).double()
    how = order_of(tower)
    anchor = extract_anchor(tower, image((4, 6), how).double())
    value = anchor.value.clone().requires_grad_(True)
    kept = Anchor(value, anchor.tower, anchor.size, anchor.origin)
    adapted = adapt(tower, kept, alpha=0.8, cutoff=40)
    point = (image((6, 4), how).double() * 0.5 + 0.25).requires_grad_(True)
    loss = tokens(adapted, [point]).sin().sum()
    by_pixel, by_anchor = torch.autograd.grad(loss, (point, value))
    step, direction = 1e-5, by_pixel.sign()
    with torch.no_grad():
        ends = [tokens(adapted, [point + sign * step * direction]).sin().sum() for sign in (1, -1)]
    numeric = float(ends[0] - ends[1]) / (2 * step)
    assert numeric == pytest.approx(float((by_pixel * direction).sum()), rel=1e-3)
    assert float(by_anchor.abs().sum()) > 0


@every_kind
def test_blocks_computed_again_get_the_anchor_of_their_own_images(kind: str) -> None:
    """With gradient checkpointing, two calls before the first gradient."""
    tower = build(kind)
    how = order_of(tower)
    adapted: Any = adapt(tower, extract_anchor(tower, image((4, 6), how)), alpha=0.8, cutoff=None)
    points = [image(grid, how).requires_grad_(True) for grid in ((4, 6), (6, 4))]
    wanted = [torch.autograd.grad(tokens(adapted, [p]).sin().sum(), p)[0] for p in points]
    adapted.train()
    adapted.activation_checkpointing_enable({"use_reentrant": False})
    losses = [tokens(adapted, [p]).sin().sum() for p in points]
    for loss, point, gradient in zip(losses, points, wanted, strict=True):
        found = torch.autograd.grad(loss, point)[0]
        assert torch.allclose(found, gradient, atol=1e-4 * float(gradient.abs().max()))


@every_kind
def test_copies_and_pickles_stay_adapted(kind: str) -> None:
    tower = build(kind)
    given = [image(grid, order_of(tower)) for grid in GRIDS]
    for anchor in (extract_anchor(tower, size=(64 * 7, 64 * 7)), PerGrid(tower)):
        adapted = adapt(tower, anchor, alpha=0.8, cutoff=40)
        expected = tokens(adapted, given)
        for other in (copy.deepcopy(adapted), pickle.loads(pickle.dumps(adapted))):
            assert torch.equal(tokens(other, given), expected)


@every_kind
def test_in_half_precision_the_anchor_follows(kind: str) -> None:
    tower = build(kind).bfloat16()
    adapted = adapt(tower, extract_anchor(tower), alpha=0.8, cutoff=40)
    found = tokens(adapted, [image(grid, order_of(tower)).bfloat16() for grid in GRIDS])
    assert found.dtype == torch.bfloat16
    assert bool(found.isfinite().all())


@every_kind
def test_anchors_and_images_that_do_not_fit_are_refused(kind: str) -> None:
    tower = build(kind)
    how = order_of(tower)
    wide = Anchor(torch.zeros(1, 24, 64), "a wide tower", (6 * how.patch, 4 * how.patch), "test")
    with pytest.raises(ValueError, match=r"\(1, 24, 64\), made on a wide tower, does not fit.*any"):
        adapt(tower, wide, alpha=1, cutoff=None)
    short = Anchor(torch.zeros(1, 20, WIDTH), "a tower", (6 * how.patch, 4 * how.patch), "test")
    with pytest.raises(ValueError, match=r"gives \(1, 24, 32\) for an image"):
        adapt(tower, short, alpha=1, cutoff=None)
    with pytest.raises(ValueError, match=rf"50x50 pixels; the tower takes multiples of {how.step}"):
        extract_anchor(tower, torch.ones(1, 3, 50, 50))
    with pytest.raises(TypeError, match="Linear takes images of one size"):
        PerGrid(nn.Linear(2, 2))
    narrow = hugging_face("SiglipVisionModel", "SiglipVisionConfig")
    with pytest.raises(ValueError, match=r"anchors of Qwen.* do not fit Siglip"):
        adapt(narrow, PerGrid(tower), alpha=1, cutoff=None)
    anchor = extract_anchor(tower)
    assert resize_anchor(anchor, tower) is anchor
    assert describe(tower).endswith("of any size, 32 wide")
    with pytest.raises(TypeError, match="has no embedding of an image"):
        fit_anchor(
            tower, torch.rand(4, 3, 56, 56), start=anchor, alpha=1, cutoff=None,
            options=FitOptions(),
        )  # fmt: skip


def test_anchors_per_grid_do_not_depend_on_when_they_are_extracted() -> None:
    """Neither on the precision of the call that they come in, nor on those before it."""
    tower = build("qwen3_vl")
    early, late = PerGrid(tower), PerGrid(tower)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        first = early((4, 6))
    assert torch.equal(first, late((4, 6)))
    for rows in range(2, 72, 2):
        early((rows, 2))
    assert len(early._kept) == 32
    assert torch.equal(early((4, 6)), first)


def test_a_whole_model_is_refused() -> None:
    config = transformers.Qwen2_5_VLConfig(vision_config=VISION["qwen2_5_vl"], text_config=TEXT)
    model = transformers.Qwen2_5_VLForConditionalGeneration(config)
    for whole in (model, model.model):
        with pytest.raises(TypeError, match=r"whole model|has no known blocks"):
            extract_anchor(whole)
    assert extract_anchor(model.model.visual).value.shape == (1, 1, WIDTH)


@every_kind
def test_units_of_another_tower_are_grafted(kind: str) -> None:
    tower, other = build(kind), build(kind)
    with torch.no_grad():
        for weight in other.parameters():
            weight.mul_(1.1)
    assert units(tower) == ("Emb", "B1", "B2", "Head")
    given = [image(grid, order_of(tower)) for grid in GRIDS]
    assert torch.equal(tokens(graft(tower, other, ["..Head"]), given), tokens(other, given))
    assert torch.equal(tokens(graft(tower, other, []), given), tokens(tower, given))

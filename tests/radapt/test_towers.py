"""R-Adapt on every kind of tower: identity, mixing, gradients, copies, precision, compilation."""

import copy
import math
import pickle

import pytest
import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from radapt import Anchor, FitOptions, adapt, extract_anchor, fit_anchor, resize_anchor
from radapt.graft import graft
from radapt.normalisations import CLIP_MEAN, CLIP_STD
from radapt.tower import (
    attention_path,
    embedding,
    normalisation,
    normalise,
)
from tests.support.towers import (
    CLASS_TOKEN,
    SIZE,
    TOWERS,
    WIDTH,
    build,
    open_clip,
    open_clip_tower,
    timm,
)

every_tower = pytest.mark.parametrize("name", TOWERS)


def pixels(count: int = 3, size: int = SIZE, dtype: torch.dtype = torch.float32) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.rand((count, 3, size, size), generator=generator, dtype=dtype)


@every_tower
def test_no_anchor_no_filter_is_the_identity_to_the_last_bit(name: str) -> None:
    tower = build(name)
    inputs = normalise(pixels())
    same = adapt(tower, extract_anchor(tower), alpha=0, cutoff=None)
    assert torch.equal(embedding(same, inputs), embedding(tower, inputs))


@every_tower
def test_adapting_changes_a_copy_and_no_weight(name: str) -> None:
    tower = build(name)
    inputs = normalise(pixels())
    before = embedding(tower, inputs)
    anchor = extract_anchor(tower)
    assert anchor.value.shape == (1, CLASS_TOKEN[name] + 16, WIDTH)
    adapted = adapt(tower, anchor, alpha=1.2, cutoff=40)
    assert not torch.allclose(embedding(adapted, inputs), before, atol=1e-4)
    assert torch.equal(embedding(tower, inputs), before)
    assert list(adapted.state_dict()) == list(tower.state_dict())
    adapted.load_state_dict(tower.state_dict())
    assert [id(p) for p in adapted.parameters()] == [id(p) for p in tower.parameters()]


@every_tower
def test_at_alpha_one_a_white_image_sees_no_change(name: str) -> None:
    tower = build(name)
    white = normalise(torch.ones(1, 3, SIZE, SIZE), *normalisation(tower))
    adapted = adapt(tower, extract_anchor(tower), alpha=1, cutoff=40)
    assert torch.allclose(embedding(adapted, white), embedding(tower, white), atol=1e-5)


@every_tower
def test_gradients_through_filter_and_anchor_match_finite_differences(name: str) -> None:
    tower = build(name).double()
    start = extract_anchor(tower)
    value = start.value.clone().requires_grad_(True)
    adapted = adapt(tower, Anchor(value, start.tower, start.size, ""), alpha=0.8, cutoff=40)
    weight = torch.randn(3, 4096, dtype=torch.float64, generator=torch.Generator().manual_seed(2))

    def loss(images: Tensor) -> Tensor:
        out = embedding(adapted, normalise(images))
        return (out * weight[:, : out.shape[1]]).sum()

    # far from 0 and 1, where the filter's clamp has a kink
    images = (pixels(dtype=torch.float64) * 0.4 + 0.3).requires_grad_(True)
    by_pixel, by_anchor = torch.autograd.grad(loss(images), (images, value))
    step = 1e-6
    with torch.no_grad():
        direction = torch.randn_like(images)
        numeric = (loss(images + step * direction) - loss(images - step * direction)) / (2 * step)
        assert float(numeric) == pytest.approx(float((by_pixel * direction).sum()), rel=1e-5)
        direction = torch.randn_like(value)
        value += step * direction
        high = loss(images)
        value -= 2 * step * direction
        numeric = (high - loss(images)) / (2 * step)
        assert float(numeric) == pytest.approx(float((by_anchor * direction).sum()), rel=1e-5)


@every_tower
def test_fitting_brings_attacked_images_home(name: str) -> None:
    tower = build(name)
    rows: list[float] = []
    fit_anchor(
        tower, pixels(8), start=extract_anchor(tower), alpha=0.8, cutoff=40,
        options=FitOptions(steps=2, epochs=10, batch=4, lr=0.02),
        report=lambda epoch: rows.append(epoch.loss),
    )  # fmt: skip
    assert rows[-1] < 0.8 * rows[0]


@every_tower
def test_a_tower_in_half_precision_is_fitted_in_single(name: str) -> None:
    tower = build(name).bfloat16()
    start = extract_anchor(tower)
    assert start.value.dtype == torch.bfloat16
    options = FitOptions(steps=1, epochs=2, batch=4)
    fitted = fit_anchor(tower, pixels(4), start=start, alpha=0.8, cutoff=40, options=options)
    assert fitted.value.dtype == torch.float32
    moved = (fitted.value - start.value.float()).abs()
    assert 0 < float(moved.max()) < 0.1
    adapt(tower, fitted, alpha=0.8, cutoff=40)(normalise(pixels()).bfloat16())


def test_pixels_are_normalised_as_the_tower_says() -> None:
    assert normalisation(build("gelu")) == (CLIP_MEAN, CLIP_STD)
    assert normalisation(build("hf-clip")) == (CLIP_MEAN, CLIP_STD)
    halves = (0.5, 0.5, 0.5)
    siglip = build("hf-siglip")
    assert normalisation(siglip) == (halves, halves)
    assert normalisation(siglip, CLIP_MEAN) == (CLIP_MEAN, halves)
    noted = build("timm-siglip")
    noted.image_mean, noted.image_std = [0.4, 0.5, 0.6], [0.1, 0.2, 0.3]  # type: ignore[assignment]
    assert normalisation(noted) == ((0.4, 0.5, 0.6), (0.1, 0.2, 0.3))
    given = extract_anchor(siglip, mean=halves, std=halves)
    assert torch.equal(extract_anchor(siglip).value, given.value)
    assert not torch.allclose(extract_anchor(siglip, mean=CLIP_MEAN).value, given.value, atol=1e-4)
    adapted = adapt(siglip, given, alpha=0, cutoff=40)
    beyond = torch.full((1, 3, SIZE, SIZE), 1.5)  # clamped to white in the tower's own units
    white = normalise(torch.ones(1, 3, SIZE, SIZE), halves, halves)
    found = embedding(adapted, normalise(beyond, halves, halves))
    assert torch.allclose(found, embedding(siglip, white), atol=1e-5)


@every_tower
def test_copies_work_in_half_precision_autocast_and_channels_last(name: str) -> None:
    tower = build(name)
    adapted = adapt(tower, extract_anchor(tower), alpha=0.9, cutoff=40)
    inputs = normalise(pixels())
    expected, bare = embedding(adapted, inputs), embedding(tower, inputs)

    def is_adapted_still(found: Tensor) -> bool:
        return bool((found.float() - expected).norm() < 0.5 * (found.float() - bare).norm())

    again = copy.deepcopy(adapted)
    assert torch.equal(embedding(again, inputs), expected)
    last = inputs.to(memory_format=torch.channels_last)
    assert torch.allclose(embedding(again, last), expected, atol=1e-5)
    with torch.autocast("cpu", torch.bfloat16):
        assert is_adapted_still(embedding(adapted, inputs))
    assert is_adapted_still(embedding(again.bfloat16(), inputs.bfloat16()))
    assert embedding(adapted, inputs).dtype == torch.float32


def states(tower: nn.Module, inputs: Tensor) -> tuple[Tensor, ...]:
    found: tuple[Tensor, ...] = tower(inputs, output_hidden_states=True).hidden_states
    return found


@pytest.mark.parametrize("name", [name for name in TOWERS if name.startswith("hf-")])
def test_hidden_states_of_base_and_copies_do_not_meddle(name: str) -> None:
    """transformers hangs hooks on every block at the first call that asks for hidden states."""
    inputs = normalise(pixels())
    expected = states(build(name), inputs)
    tower = build(name)
    adapted = [adapt(tower, extract_anchor(tower), alpha=a, cutoff=None) for a in (0.5, 0.5)]
    one, two = (states(each, inputs) for each in adapted)
    mixed = states(graft(tower, tower, ["B1"]), inputs)
    after = states(tower, inputs)
    for found in (one, two, mixed, after):
        assert len(found) == len(expected) == 3
    for first, second in ((one, two), (mixed, expected), (after, expected)):
        assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    assert not torch.allclose(one[-1], expected[-1], atol=1e-4)


@every_tower
def test_the_mode_of_a_copy_is_its_own(name: str) -> None:
    tower = build(name)
    adapt(tower, extract_anchor(tower), alpha=1, cutoff=40).train()
    assert not any(module.training for module in tower.modules())


def test_hooks_of_others_do_not_take_the_place_of_an_unpickled_towers() -> None:
    tower = build("gelu")
    adapted = adapt(tower, extract_anchor(tower), alpha=1, cutoff=12)
    inputs = normalise(pixels())
    expected = adapted(inputs)
    kept = pickle.dumps(adapted)
    RemovableHandle.next_id = 0  # as in a new process
    again = pickle.loads(kept)
    for _ in range(3):
        again.register_forward_pre_hook(lambda module, args: None)
        again.get_submodule(attention_path(again)).register_forward_hook(lambda *_: None)
    assert torch.equal(again(inputs), expected)


def test_extraction_is_the_same_at_each_call_and_asks_for_the_base() -> None:
    tower = open_clip_tower(patch_dropout=0.5).train()
    first, second = extract_anchor(tower), extract_anchor(tower)
    assert first.value.shape == (1, 17, WIDTH)
    assert torch.equal(first.value, second.value)
    assert tower.training
    with pytest.raises(ValueError, match="is adapted; extract from its base tower"):
        extract_anchor(adapt(tower, first, alpha=1, cutoff=None))
    for name in ("alpha", "cutoff"):
        with pytest.raises(ValueError, match=f"{name}: got nan"):
            adapt(tower, first, **{"alpha": 1.0, "cutoff": 40.0, name: math.nan})  # type: ignore[arg-type]


@every_tower
def test_an_adapted_tower_compiles_into_one_graph(name: str) -> None:
    tower = build(name)
    adapted = adapt(tower, extract_anchor(tower), alpha=0.9, cutoff=40)
    torch._dynamo.reset()  # the towers share the code of one function, of which it keeps few
    compiled = torch.compile(lambda x: embedding(adapted, x), backend="eager", fullgraph=True)
    inputs = normalise(pixels())
    assert torch.allclose(compiled(inputs), embedding(adapted, inputs), atol=1e-6)


def test_the_model_guided_anchor_goes_through_the_robust_tower() -> None:
    """R-Adapt_M: the other tower's own embedding and attention, put into CLIP."""
    base = build("gelu")
    torch.manual_seed(5)
    robust = open_clip_tower().eval().requires_grad_(False)
    anchor = extract_anchor(robust)
    assert not torch.allclose(anchor.value, extract_anchor(base).value, atol=1e-3)
    adapted = adapt(base, anchor, alpha=1, cutoff=None)
    found: list[Tensor] = []
    adapted.get_submodule(attention_path(adapted)).register_forward_hook(
        lambda module, args, output: found.append(output[0])
    )
    adapted(normalise(pixels()))
    assert torch.allclose(found[0], anchor.value.expand_as(found[0]), atol=1e-6)


def test_an_anchor_is_resized_when_asked_and_only_then() -> None:
    small, large = build("gelu"), open_clip_tower(image_size=48).eval()
    anchor = extract_anchor(small)
    with pytest.raises(ValueError, match=r"\(1, 17, 32\).*\(1, 37, 32\); resize_anchor"):
        adapt(large, anchor, alpha=1, cutoff=None)
    sized = resize_anchor(anchor, large)
    assert sized.value.shape == (1, 37, WIDTH)
    assert torch.equal(sized.value[:, 0], anchor.value[:, 0])
    assert "resized from 32x32" in sized.origin
    adapt(large, sized, alpha=1, cutoff=None)(torch.zeros(1, 3, 48, 48))
    flat = Anchor(torch.full((1, 17, WIDTH), 0.5), "", (32, 32), "")
    assert torch.allclose(resize_anchor(flat, large).value, torch.tensor(0.5))
    for other in (
        Anchor(torch.zeros(1, 17, 64), "wide", (32, 32), ""),
        Anchor(torch.zeros(1, 17, WIDTH), "of patches of 16 pixels", (64, 64), ""),
    ):
        with pytest.raises(ValueError, match="cannot be resized"):
            resize_anchor(other, large)
    with pytest.raises(ValueError, match=r"\(1, 17, 32\).*SiglipVisionModel.*\(1, 16, 32\)"):
        adapt(build("hf-siglip"), anchor, alpha=1, cutoff=None)


def test_towers_without_a_first_attention_are_refused() -> None:
    resnet = open_clip.CLIP(
        embed_dim=16,
        vision_cfg={"image_size": 32, "layers": (1, 1, 1, 1), "width": 8},
        text_cfg={"context_length": 8, "vocab_size": 50, "width": 16, "heads": 2, "layers": 1},
    ).visual
    with pytest.raises(TypeError, match="ModifiedResNet is not supported: its blocks are convolu"):
        extract_anchor(resnet)
    with pytest.raises(TypeError, match="has no known blocks"):
        extract_anchor(nn.Sequential(nn.Conv2d(3, 8, 4)))
    other = build("timm-siglip")
    for trunk, reason in (
        (timm.create_model("fastvit_t8"), "a FastVit is not supported: its blocks are convolu"),
        (timm.create_model("convnext_atto"), "a ConvNeXt is not supported: it has no attention"),
        (timm.create_model("test_byobnet"), "a ByobNet is not supported; allowed: VisionTr"),
    ):
        other.trunk = trunk
        with pytest.raises(TypeError, match=f"TimmModel with {reason}"):
            extract_anchor(other)
    hybrid = build("timm-siglip")
    hybrid.get_submodule("trunk.patch_embed").proj = nn.Identity()
    with pytest.raises(TypeError, match="does not embed patches by one convolution"):
        extract_anchor(hybrid)
    whole = build("hf-clip")
    whole.text_model = nn.Identity()
    with pytest.raises(TypeError, match="is a whole model; pass its vision tower"):
        extract_anchor(whole)


def test_the_width_and_tokens_of_vit_l_14() -> None:
    """257 tokens of width 1024 at 224 pixels: the paper's tower, with 3 of its 24 layers."""
    config = open_clip.get_model_config("ViT-L-14-quickgelu")
    clip = open_clip.CLIP(
        config["embed_dim"], {**config["vision_cfg"], "layers": 3},
        {"context_length": 8, "vocab_size": 50, "width": 16, "heads": 2, "layers": 1},
        quick_gelu=True,
    )  # fmt: skip
    tower = clip.visual.eval().requires_grad_(False)
    anchor = extract_anchor(tower)
    assert anchor.value.shape == (1, 257, 1024)
    image = normalise(pixels(1, 224), CLIP_MEAN, CLIP_STD)
    adapted = adapt(tower, anchor, alpha=1.4, cutoff=40)
    assert adapted(image).shape == (1, 768)
    assert not torch.allclose(adapted(image), tower(image), atol=1e-3)


def test_wrapped_towers_are_refused_and_left_intact() -> None:
    """A copy would keep calling the original's forward, and the anchor would not be seen."""
    tower = build("gelu")
    anchor, inputs = extract_anchor(tower), normalise(pixels())
    expected = tower(inputs)
    compiled = torch.compile(tower, backend="eager")
    with pytest.raises(TypeError, match="OptimizedModule is wrapped"):
        adapt(compiled, anchor, alpha=1, cutoff=None)  # type: ignore[arg-type]
    assert torch.equal(tower(inputs), expected)
    tower.forward = tower.forward  # what dispatching and autocast wrappers do
    with pytest.raises(TypeError, match="pass the unwrapped tower"):
        adapt(tower, anchor, alpha=1, cutoff=None)

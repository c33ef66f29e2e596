"""Similarity of blocks, spectra of kernels, attention."""

import copy
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from radapt import adapt, extract_anchor
from radapt.analysis import attention_weights, cka, heat_map, input_dependence, spectral_shift
from radapt.analysis.cka import Tokens
from radapt.analysis.taps import inputs_for, output_of
from radapt.layout import block_paths, layout_of
from radapt.normalisations import CLIP_MEAN, CLIP_STD
from radapt.tower import prefix_tokens
from tests.support.random_towers import pixels, random_tower, randomised
from tests.support.tower_families import build_family
from tests.support.towers import TOWERS, open_clip_tower, timm_tower


@pytest.fixture(params=TOWERS)
def tower(request: pytest.FixtureRequest) -> nn.Module:
    return random_tower(request.param)


def block_features(tower: nn.Module, images: Tensor, tokens: Tokens) -> list[np.ndarray[Any, Any]]:
    inputs = inputs_for(tower, images, CLIP_MEAN, CLIP_STD)
    outputs = [output_of(tower, path, inputs).double() for path in block_paths(tower)]
    if tokens == "flat":
        return [output.flatten(1).numpy() for output in outputs]
    return [(output.mean(1) if tokens == "mean" else output[:, 0]).numpy() for output in outputs]


def hsic_by_definition(k: np.ndarray[Any, Any], other: np.ndarray[Any, Any]) -> float:
    """The U-statistic over quadruples of different images (Song et al. 2012, equation 4)."""
    n = len(k)
    i, j, q, r = (index.ravel() for index in np.meshgrid(*[np.arange(n)] * 4, indexing="ij"))
    distinct = (i != j) & (i != q) & (i != r) & (j != q) & (j != r) & (q != r)
    i, j, q, r = (index[distinct] for index in (i, j, q, r))
    return float((k[i, j] * (other[i, j] + other[q, r] - 2 * other[i, q])).mean())


@pytest.mark.parametrize("tokens", ["flat", "mean", "class"])
def test_cka_is_that_of_the_definition(tokens: Tokens) -> None:
    first, second = (randomised(open_clip_tower(layers=2 + seed), seed) for seed in (0, 1))
    images = pixels(7)
    found = cka(first, second, [images], tokens=tokens)
    kernels = [
        [feature @ feature.T for feature in block_features(tower, images, tokens)]
        for tower in (first, second)
    ]
    cross = [[hsic_by_definition(k, other) for other in kernels[1]] for k in kernels[0]]
    own = [[hsic_by_definition(k, k) for k in side] for side in kernels]
    assert found.shape == (2, 3)
    assert np.allclose(found, cross / np.sqrt(np.outer(*own)), atol=1e-5)


def test_cka_in_batches_estimates_that_of_all_images() -> None:
    first, second = (randomised(open_clip_tower(layers=2), seed) for seed in (0, 1))
    images = pixels(256)
    whole = cka(first, second, [images])
    small = cka(first, second, images.split(16))
    assert np.abs(small - whole).max() < 0.03
    ragged = cka(first, second, [*images.split(16), images[:3]])
    assert np.array_equal(ragged, small)


def test_cka_with_itself(tower: nn.Module) -> None:
    again = cka(tower, tower, pixels(16).split(8))
    assert np.allclose(np.diag(again), 1) and np.allclose(again, again.T)
    assert np.allclose(again, cka(tower, copy.deepcopy(tower), pixels(16).split(8)))


def test_cka_ignores_rotation_and_scale_of_the_features() -> None:
    class Rotated(nn.Module):
        def __init__(self, block: nn.Module, rotation: Tensor, scale: float) -> None:
            super().__init__()
            self.block, self.rotation, self.scale = block, rotation, scale

        def forward(self, tokens: Tensor, attn_mask: Tensor | None = None) -> Tensor:
            output: Tensor = self.block(tokens, attn_mask=attn_mask)
            return output @ self.rotation * self.scale

    first = randomised(open_clip_tower(), 0)
    second: Any = randomised(open_clip_tower(), 1)
    plain = cka(first, second, [pixels(12)])
    rotation = torch.linalg.qr(torch.randn(32, 32, generator=torch.Generator().manual_seed(0)))[0]
    blocks = second.transformer.resblocks
    blocks[-1] = Rotated(blocks[-1], rotation, 7.0)
    assert np.allclose(cka(first, second, [pixels(12)]), plain, atol=1e-4)


def test_cka_refuses_what_it_cannot_do() -> None:
    tower = open_clip_tower()
    with pytest.raises(ValueError, match="no batch has 4 or more images"):
        cka(tower, tower, pixels(9).split(3))
    with pytest.raises(ValueError, match="SiglipVisionModel has no class token"):
        cka(tower, random_tower("hf-siglip"), [pixels(4)], tokens="class")


def patch_weight(tower: nn.Module) -> nn.Parameter:
    weight = tower.get_submodule(layout_of(tower).patches).weight
    assert isinstance(weight, nn.Parameter)
    return weight


def test_spectral_shift_finds_the_frequency(tower: nn.Module) -> None:
    """Kernels that gain a wave of 3 cycles across gain at 3 off the centre, either side."""
    other = copy.deepcopy(tower)
    wave = torch.cos(2 * torch.pi * 3 * torch.arange(8) / 8).expand(8, 8)
    patch_weight(other).data += 5 * wave
    shift = spectral_shift(tower, other, scale="absolute")
    assert shift.shape == (8, 8)
    kernels = [patch_weight(t).double().numpy() for t in (tower, other)]
    spectra = [np.abs(np.fft.fft2(k)).mean((0, 1)) for k in kernels]
    expected = np.fft.fftshift(spectra[1] - spectra[0])
    assert np.allclose(shift, expected)
    assert set(map(tuple, np.argwhere(shift > 1))) == {(4, 1), (4, 7)}
    relative = spectral_shift(tower, other)
    assert np.allclose(relative, expected / np.fft.fftshift(spectra[0]))
    assert not spectral_shift(tower, tower).any()


def test_spectral_shift_needs_patches_of_one_size() -> None:
    with pytest.raises(ValueError, match="8 by 8 and 4 by 4 pixels"):
        spectral_shift(open_clip_tower(), open_clip_tower(patch_size=4))


def attended(attention: Any, tokens: Tensor, weights: Tensor) -> Tensor:
    """The attention module's output, by the textbook, from its weights and its map."""
    if isinstance(attention, nn.MultiheadAttention):
        assert attention.in_proj_weight is not None and attention.in_proj_bias is not None
        weight, bias = attention.in_proj_weight.chunk(3)[2], attention.in_proj_bias.chunk(3)[2]
        values = tokens @ weight.T + bias
    elif hasattr(attention, "qkv"):
        values = attention.qkv(tokens).chunk(3, dim=-1)[2]
    else:
        values = attention.v_proj(tokens)
    out = getattr(attention, "out_proj", None) or attention.proj
    by_head = values.unflatten(-1, (attention.num_heads, -1)).transpose(1, 2)
    result: Tensor = out((weights @ by_head).transpose(1, 2).flatten(2))
    return result


@pytest.mark.parametrize("block", [1, 2])
def test_attention_reproduces_the_module(tower: nn.Module, block: int) -> None:
    check_attention(tower, block)


def test_attention_with_norms_of_queries_and_keys() -> None:
    tower = randomised(timm_tower(qk_norm=True), 0)
    assert not isinstance(tower.get_submodule("trunk.blocks.0.attn.q_norm"), nn.Identity)
    check_attention(tower, 1)


def test_attention_behind_a_stem() -> None:
    check_attention(build_family("vitamin"), 1, patches=4)


@pytest.mark.parametrize(
    "name", ["eva-01", "eva-02", "relative-positions", "intern-vit", "dinov2", "dinov3"]
)
def test_attention_of_more_than_queries_and_keys_is_refused(name: str) -> None:
    with pytest.raises(TypeError, match=r"attention maps of \w+ are not supported"):
        attention_weights(build_family(name), pixels(), mean=CLIP_MEAN, std=CLIP_STD)


@pytest.mark.parametrize("name", ["qwen2-vl", "siglip2-naflex", "pixtral", "mllama"])
def test_towers_of_other_inputs_are_not_analysed(name: str) -> None:
    tower = build_family(name)
    with pytest.raises(TypeError, match="need a tower that takes images of one size"):
        cka(tower, tower, [pixels(4)], mean=CLIP_MEAN, std=CLIP_STD)


@pytest.mark.parametrize("name", ["vitamin", "mobileclip-b", "qwen2-vl", "siglip2-naflex"])
def test_without_kernels_of_pixels_there_is_no_spectrum(name: str) -> None:
    with pytest.raises(TypeError, match="does not embed patches by one convolution in two"):
        spectral_shift(build_family(name, 0), build_family(name, 1))


def check_attention(tower: nn.Module, block: int, patches: int = 16) -> None:
    images = pixels(3)
    weights = attention_weights(tower, images, block=block)
    count = patches + prefix_tokens(tower)
    assert weights.shape == (3, 2, count, count)
    assert torch.allclose(weights.sum(-1), torch.ones(3, 2, count))
    norm, attention, *_ = layout_of(tower).attention
    path = block_paths(tower)[block - 1]
    inputs = inputs_for(tower, images, None, None)
    module = tower.get_submodule(f"{path}.{attention}")
    expected = output_of(tower, f"{path}.{attention}", inputs)
    tokens = output_of(tower, f"{path}.{norm}", inputs)
    assert torch.allclose(attended(module, tokens, weights), expected, atol=1e-5)


def test_reading_a_tower_leaves_no_hooks(tower: nn.Module) -> None:
    attention_weights(tower, pixels(), block=2)
    cka(tower, tower, [pixels(4)])
    assert not any(module._forward_hooks for module in tower.modules())


def test_there_is_no_such_block(tower: nn.Module) -> None:
    for block in (0, 3):
        with pytest.raises(ValueError, match=f"block: got {block}; allowed are 1 to 2"):
            attention_weights(tower, pixels(), block=block)


def test_heat_map_shows_the_patch_that_is_attended_to() -> None:
    weights = torch.zeros(2, 3, 5, 5)
    weights[0, :, 0, 1 + 2] = 1  # the class token looks at the patch in row 1, column 0
    weights[1, :, 0, 0] = 1  # the class token looks at itself
    weights[:, :, 1:, 1 + 1] = 0.5  # all patches look at row 0, column 1
    seen = heat_map(weights, (16, 16))
    assert seen.shape == (2, 16, 16) and not seen[1].any()
    assert float(seen[0, -1, 0]) == 1 and not seen[0, :4].any() and not seen[0, :, 12:].any()
    patches = heat_map(weights, (16, 16), query="patches")
    assert float(patches[0, 0, -1]) == float(patches.max()) == 0.5
    without = heat_map(weights[..., 1:, 1:], (16, 16), query="patches")
    assert torch.equal(without, patches)
    with pytest.raises(ValueError, match="no class token"):
        heat_map(weights[..., 1:, 1:], (16, 16))
    with pytest.raises(ValueError, match="got 7 tokens; allowed: a square number"):
        heat_map(torch.zeros(1, 1, 7, 7), (16, 16))


def test_input_dependence_is_that_of_the_definition(tower: nn.Module) -> None:
    images = pixels(4)
    found = input_dependence(tower, [images])
    weights = attention_weights(tower, images).double().numpy()
    expected = np.zeros(2)
    for i in range(4):
        for j in range(i):
            mixed = (weights[i] + weights[j]) / 2
            for one in (i, j):
                divergence = (weights[one] * np.log2(weights[one] / mixed)).sum(-1)
                expected += divergence.mean(-1) / 2 / 6
    assert found.shape == (2,)
    assert np.allclose(found, expected, atol=1e-6) and (found > 1e-4).all()


def test_input_dependence_is_nothing_where_attention_is_constant() -> None:
    tower: Any = randomised(open_clip_tower(), 0)
    tower.transformer.resblocks[0].attn.in_proj_weight.data[:64] = 0
    assert np.allclose(input_dependence(tower, pixels(4).split(2)), 0, atol=1e-7)
    assert (input_dependence(tower, [pixels(4)], block=2) > 1e-4).all()
    same = pixels(1).expand(4, -1, -1, -1)
    assert np.allclose(input_dependence(tower, [same], block=2), 0, atol=1e-6)
    with pytest.raises(ValueError, match="no batch has two or more images"):
        input_dependence(tower, pixels(3).split(1))


def test_an_adapted_tower_can_be_read() -> None:
    tower = randomised(open_clip_tower(), 0)
    adapted = adapt(tower, extract_anchor(tower), alpha=0.8, cutoff=20)
    assert np.diag(cka(tower, adapted, [pixels(8)])).max() < 1
    assert not torch.equal(attention_weights(adapted, pixels()), attention_weights(tower, pixels()))

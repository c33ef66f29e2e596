"""Replaces the vision tower of a vision-language model with that of another model."""

import copy
from collections.abc import Iterator, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.core.errors import CellError
from bench.models.clip import ClipModel
from bench.models.language.answering_model import LanguageModel
from radapt.activations import ACTIVATIONS, activation
from radapt.layout import layout_of
from radapt.tower import is_adapted, prefix_tokens, token_grid

_BLOCKS = "encoder.layers."
_POSITIONS = "embeddings.position_embedding.weight"
# parameter names in open_clip and in transformers' CLIP: outside and inside the blocks
_OUTSIDE = {
    "class_embedding": "embeddings.class_embedding",
    "conv1.weight": "embeddings.patch_embedding.weight",
    "positional_embedding": _POSITIONS,
    **{f"ln_pre.{part}": f"pre_layrnorm.{part}" for part in ("weight", "bias")},
    **{f"ln_post.{part}": f"post_layernorm.{part}" for part in ("weight", "bias")},
}
_INSIDE = {
    "ln_1": "layer_norm1", "ln_2": "layer_norm2", "attn.out_proj": "self_attn.out_proj",
    "mlp.c_fc": "mlp.fc1", "mlp.c_proj": "mlp.fc2",
}  # fmt: skip
_UNUSED = ("proj", "visual_projection.weight", "head.")  # after the features that LVLMs use


def replace_tower(model: LanguageModel, donor: object, name: str) -> LanguageModel:
    """Return a vision-language model with the weights of another model's vision tower.

    Everything else stays: the projector was trained on the outputs of its own tower, and a
    fine-tuned tower has similar outputs. Position embeddings of another grid size are interpolated
    as in open_clip (bicubic, antialiased; that of the class token is kept).

    Args:
        model: A model whose tower is a CLIP or SigLIP of transformers.
        donor: A CLIP of open_clip, a CLIP or SigLIP of transformers, or a vision-language model.
        name: Name of the donor in the suite.

    Raises:
        CellError: The donor has no vision tower, or its tower has another shape or normalisation.
    """
    if not isinstance(donor, ClipModel | LanguageModel):
        raise CellError(
            f"tower: {name!r} has no vision tower; allowed: a CLIP, a SigLIP or a vision-language "
            "model"
        )
    if is_adapted(donor.tower):
        raise CellError(f"tower: {name!r} is adapted; adapt the vision-language model instead")
    theirs, own = donor.preprocessing, model.preprocessing
    if (theirs.mean, theirs.std) != (own.mean, own.std):
        raise CellError(
            f"tower: {name!r} was trained on pixels with mean {theirs.mean} and standard deviation "
            f"{theirs.std}, but this model's processor uses {own.mean} and {own.std}; use a tower "
            "with the same normalisation"
        )
    tower = copy.deepcopy(model.tower)
    try:
        extra_facts = _fill(tower, donor.tower)
    except (TypeError, ValueError, RuntimeError) as error:
        raise CellError(f"tower: {name!r} does not fit: {' '.join(str(error).split())}") from error
    return model.with_tower(tower.requires_grad_(False), tower=name, **extra_facts)


def _fill(tower: nn.Module, donor: nn.Module) -> dict[str, str]:
    """Copy weights, position embeddings and activation from a donor; return facts for results."""
    root, weights = _root(tower), _weights(donor)
    own = {name.removeprefix(root): value for name, value in tower.state_dict().items()}
    read = {name: value for name, value in weights.items() if not name.startswith(_UNUSED)}
    extra_facts = {"positions": "the tower's"}
    positions = read.get(_POSITIONS)
    if positions is not None and positions.shape != own[_POSITIONS].shape:
        before, after = token_grid(donor), token_grid(tower)
        read[_POSITIONS] = _interpolated(positions, prefix_tokens(donor), before, after)
        sizes = ["x".join(map(str, grid)) for grid in (before, after)]
        extra_facts = {"positions": f"{sizes[0]} to {sizes[1]}, bicubic"}
    kept = {name: value for name, value in own.items() if name.startswith(_UNUSED)}
    unmatched = sorted((set(own) - set(kept)) ^ set(read))
    if unmatched:
        raise ValueError(f"only one of the two towers has {unmatched[0]}")
    for name, value in read.items():
        if value.shape != own[name].shape:
            ours, theirs = tuple(own[name].shape), tuple(value.shape)
            raise ValueError(f"{name} has the shape {theirs}, {ours} is needed")
    tower.load_state_dict({root + name: value for name, value in {**kept, **read}.items()})
    _take_settings(tower, donor)
    return extra_facts


def _root(tower: nn.Module) -> str:
    blocks = layout_of(tower).blocks
    if not blocks.endswith(_BLOCKS.rstrip(".")):
        raise TypeError(
            f"the tower {type(tower).__name__} is not supported; allowed: a CLIP or SigLIP of "
            "transformers"
        )
    return blocks.removesuffix(_BLOCKS.rstrip("."))


def _weights(donor: nn.Module) -> dict[str, Tensor]:
    """Return a tower's weights with transformers' parameter names."""
    state: dict[str, Tensor] = donor.state_dict()
    if layout_of(donor).patches == "conv1":
        return dict(_from_open_clip(state))
    root = _root(donor)
    return {name.removeprefix(root): value for name, value in state.items()}


def _from_open_clip(state: Mapping[str, Tensor]) -> Iterator[tuple[str, Tensor]]:
    for name, value in state.items():
        _, blocks, inside = name.partition("transformer.resblocks.")
        if not blocks:
            yield _OUTSIDE.get(name, name), value
            continue
        number, _, part = inside.partition(".")
        block = f"{_BLOCKS}{number}."
        if part.startswith("attn.in_proj_"):
            kind = part.removeprefix("attn.in_proj_")
            for letter, third in zip("qkv", value.chunk(3), strict=True):
                yield f"{block}self_attn.{letter}_proj.{kind}", third
            continue
        module, _, kind = part.rpartition(".")
        yield f"{block}{_INSIDE.get(module, module)}.{kind}", value


def _interpolated(
    positions: Tensor, prefix: int, before: tuple[int, int], after: tuple[int, int]
) -> Tensor:
    grid = positions[prefix:].float().T.reshape(1, -1, *before)
    sized = F.interpolate(grid, after, mode="bicubic", antialias=True, align_corners=False)
    return torch.cat([positions[:prefix].float(), sized.flatten(2)[0].T])


def _take_settings(tower: nn.Module, donor: nn.Module) -> None:
    """Copy the donor's activation, and check that both towers' norms have the same epsilon."""
    from transformers.activations import ACT2FN

    kind = activation(donor)
    if kind not in ACTIVATIONS.values():
        raise ValueError(
            f"its activation is {kind or 'not recognised'}; allowed: "
            f"{', '.join(sorted(set(ACTIVATIONS.values())))}"
        )
    config: Any = tower.config
    config.hidden_act = "gelu_pytorch_tanh" if kind == "gelu_tanh" else kind
    for module in tower.modules():
        for name, child in module.named_children():
            if type(child).__name__ in ACTIVATIONS:
                module._modules[name] = ACT2FN[config.hidden_act]
    eps = {module.eps for module in donor.modules() if isinstance(module, nn.LayerNorm)}
    if eps != {config.layer_norm_eps}:
        raise ValueError(
            f"its LayerNorms have epsilon {sorted(eps)}, {config.layer_norm_eps} is needed"
        )

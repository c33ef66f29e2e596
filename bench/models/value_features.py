"""Value features: the attention values of the patches in the last blocks of a CLIP tower."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.core.errors import CellError
from radapt.layout import has_part, layout_of


def value_features(tower: nn.Module, pixels: Tensor, blocks: int) -> Tensor:
    """Return the value features of the patches in a tower's last blocks, `[b,blocks,t,d]`.

    The values of a block's attention (before they are weighted and summed) go through the output
    projection of that attention, then through the tower's last norm and projection, which map them
    to the embedding space of texts. Each is normalised to norm 1. This follows the authors' code of
    V-Attack. The class token is left out.

    Args:
        tower: Vision tower of a CLIP of open_clip or transformers.
        pixels: Normalised pixels `[b,3,h,w]` of the tower's input size.
        blocks: Number of last blocks.

    Raises:
        CellError: The tower is of another kind, or has fewer blocks.
    """
    try:
        layout = layout_of(tower)
        all_blocks = list(tower.get_submodule(layout.blocks).children())
    except (TypeError, AttributeError) as error:
        raise CellError(f"no value features: {error}") from error
    norm, projection = _head(tower)
    if blocks > len(all_blocks):
        raise CellError(
            f"value features of the last {blocks} blocks: the tower has only {len(all_blocks)}; "
            "set `blocks` to at most that"
        )
    inputs: list[Tensor] = []
    chosen = all_blocks[-blocks:]
    first, attention = layout.attention[:2]
    hooks = [
        block.get_submodule(first).register_forward_hook(lambda _, __, out: inputs.append(out))
        for block in chosen
    ]
    try:
        tower(pixels)
    finally:
        for hook in hooks:
            hook.remove()
    # open_clip's blocks may have the shape [tokens,batch,width]
    tokens_first = not getattr(getattr(tower, "transformer", None), "batch_first", True)
    found = []
    for block, tokens in zip(chosen, inputs, strict=True):
        batched = tokens.transpose(0, 1) if tokens_first else tokens
        values = _projected_values(block.get_submodule(attention), batched[:, 1:])
        found.append(F.normalize(projection(norm(values)), dim=-1))
    return torch.stack(found, dim=1)


def _projected_values(attention: nn.Module, tokens: Tensor) -> Tensor:
    """Return the values `[b,t,w]` of tokens `[b,t,w]` after the attention's output projection."""
    if has_part(attention, "v_proj"):  # transformers
        values: Tensor = attention.get_submodule("v_proj")(tokens)
    elif has_part(attention, "in_proj_weight"):  # open_clip: queries, keys, values in one matrix
        third = attention.get_parameter("in_proj_weight").chunk(3)[2]
        bias = attention.get_parameter("in_proj_bias").chunk(3)[2]
        values = F.linear(tokens, third, bias)
    else:
        raise CellError(
            f"no value features: the attention {type(attention).__name__} is not supported; "
            "allowed: CLIP towers of open_clip and transformers"
        )
    out: Tensor = attention.get_submodule("out_proj")(values)
    return out


def _head(tower: nn.Module) -> tuple[nn.Module, nn.Module]:
    """Return the last norm and the projection of a CLIP tower."""
    if has_part(tower, "ln_post") and has_part(tower, "proj"):
        return tower.get_submodule("ln_post"), _ProjectionMatrix(tower.get_parameter("proj"))
    if has_part(tower, "vision_model.post_layernorm") and has_part(tower, "visual_projection"):
        norm = tower.get_submodule("vision_model.post_layernorm")
        return norm, tower.get_submodule("visual_projection")
    raise CellError(
        f"no value features: the tower {type(tower).__name__} has no CLIP projection; "
        "allowed: CLIP towers of open_clip and transformers"
    )


class _ProjectionMatrix(nn.Module):
    """Multiplication by a matrix: open_clip stores its projection as a bare parameter."""

    def __init__(self, matrix: nn.Parameter) -> None:
        super().__init__()
        self.matrix = matrix

    def forward(self, tokens: Tensor) -> Tensor:
        return tokens @ self.matrix

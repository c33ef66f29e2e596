"""Value features: what the attention of a CLIP's last blocks hands on of each patch."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.core.errors import CellError
from radapt.layout import has_part, layout_of


def value_features(tower: nn.Module, pixels: Tensor, blocks: int) -> Tensor:
    """Return the value features of the patches in a tower's last blocks, `[b,blocks,t,d]`.

    A block's values, which its attention would weigh and sum, go through the output projection of
    that attention and then through the tower's own last norm and projection, which brings them to
    the space of texts; each is of length 1 (V-Attack, as its authors' code has it). The class token
    is left out.

    Args:
        tower: Of a CLIP, of open_clip or transformers.
        pixels: Normalised, `[b,3,h,w]`, of the tower's size.
        blocks: How many of the last ones.

    Raises:
        CellError: The tower is of another kind, or has fewer blocks.
    """
    try:
        layout = layout_of(tower)
        every = list(tower.get_submodule(layout.blocks).children())
    except (TypeError, AttributeError) as error:
        raise CellError(f"no value features: {error}") from error
    norm, projection = _head(tower)
    if blocks > len(every):
        raise CellError(f"value features of {blocks} blocks: the tower has {len(every)}")
    inputs: list[Tensor] = []
    chosen = every[-blocks:]
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
    # open_clip's blocks may have tokens before images
    turned = not getattr(getattr(tower, "transformer", None), "batch_first", True)
    found = []
    for block, tokens in zip(chosen, inputs, strict=True):
        own = tokens.transpose(0, 1) if turned else tokens
        values = _projected_values(block.get_submodule(attention), own[:, 1:])
        found.append(F.normalize(projection(norm(values)), dim=-1))
    return torch.stack(found, dim=1)


def _projected_values(attention: nn.Module, tokens: Tensor) -> Tensor:
    """Return an attention's values `[b,t,w]` of tokens `[b,t,w]`, through its output projection."""
    if has_part(attention, "v_proj"):  # transformers
        values: Tensor = attention.get_submodule("v_proj")(tokens)
    elif has_part(attention, "in_proj_weight"):  # open_clip: queries, keys and values in one
        third = attention.get_parameter("in_proj_weight").chunk(3)[2]
        bias = attention.get_parameter("in_proj_bias").chunk(3)[2]
        values = F.linear(tokens, third, bias)
    else:
        raise CellError(f"no value features: {type(attention).__name__} is not known")
    out: Tensor = attention.get_submodule("out_proj")(values)
    return out


def _head(tower: nn.Module) -> tuple[nn.Module, nn.Module]:
    """Return what a CLIP's tower does with the class token after its last block."""
    if has_part(tower, "ln_post") and has_part(tower, "proj"):
        return tower.get_submodule("ln_post"), _ProjectionMatrix(tower.get_parameter("proj"))
    if has_part(tower, "vision_model.post_layernorm") and has_part(tower, "visual_projection"):
        norm = tower.get_submodule("vision_model.post_layernorm")
        return norm, tower.get_submodule("visual_projection")
    raise CellError(f"no value features: {type(tower).__name__} has no projection of a CLIP")


class _ProjectionMatrix(nn.Module):
    """A projection that is a parameter."""

    def __init__(self, matrix: nn.Parameter) -> None:
        super().__init__()
        self.matrix = matrix

    def forward(self, tokens: Tensor) -> Tensor:
        return tokens @ self.matrix

"""Names of the parts of vision towers, for each supported kind of tower."""

from dataclasses import dataclass

from torch import nn

from radapt.grids import grids_of


@dataclass(frozen=True, slots=True)
class Layout:
    """Names of a tower's modules and parameters; a tower may lack some of them.

    Attributes:
        blocks: The list of blocks.
        patches: The convolution of the patch embedding.
        class_token: The class token.
        embedding: All modules and parameters before the blocks.
        attention: Modules of a block's attention half, named relative to the block: the norm, the
            attention, then modules that scale its output.
        head: All modules and parameters after the blocks.
    """

    blocks: str
    patches: str
    class_token: str
    embedding: tuple[str, ...]
    attention: tuple[str, ...]
    head: tuple[str, ...]


_OPEN_CLIP = Layout(
    blocks="transformer.resblocks",
    patches="conv1",
    class_token="class_embedding",
    embedding=("conv1", "class_embedding", "positional_embedding", "patch_dropout", "ln_pre"),
    attention=("ln_1", "attn", "ln_attn", "ls_1"),
    head=("attn_pool", "attn_pool_contrastive", "ln_post", "proj"),
)


def _hugging_face(root: str) -> Layout:
    return Layout(
        blocks=f"{root}encoder.layers",
        patches=f"{root}embeddings.patch_embedding",
        class_token=f"{root}embeddings.class_embedding",
        embedding=(f"{root}embeddings", f"{root}pre_layrnorm"),
        attention=("layer_norm1", "self_attn"),
        head=(f"{root}post_layernorm", f"{root}head", "visual_projection"),
    )


_TIMM = Layout(  # open_clip uses timm for SigLIP
    blocks="trunk.blocks",
    patches="trunk.patch_embed.proj",
    class_token="trunk.cls_token",
    embedding=tuple(
        f"trunk.{name}" for name in ("patch_embed", "cls_token", "pos_embed", "norm_pre")
    ),
    attention=("norm1", "attn", "ls1", "drop_path1"),
    head=("trunk.norm", "trunk.attn_pool", "trunk.fc_norm", "trunk.head", "head"),
)

_QWEN = Layout(  # the vision tower of Qwen2.5-VL and Qwen3-VL
    blocks="blocks",
    patches="patch_embed.proj",
    class_token="class_embedding",  # the tower has none
    embedding=("patch_embed", "pos_embed"),
    attention=("norm1", "attn"),
    head=("merger", "deepstack_merger_list"),
)

_KNOWN = (_OPEN_CLIP, _hugging_face("vision_model."), _hugging_face(""), _TIMM)


def layout_of(tower: nn.Module) -> Layout:
    """Return the layout of a vision tower of open_clip or Hugging Face.

    Raises:
        TypeError: The tower is of another kind, such as a ResNet or timm's EVA.
    """
    if hasattr(tower, "text_model") or hasattr(tower, "lm_head"):
        raise TypeError(f"{type(tower).__name__} is a whole model; pass its vision tower")
    if grids_of(tower) is not None and has_part(tower, _QWEN.blocks):
        return _QWEN
    for layout in _KNOWN:
        if has_part(tower, layout.blocks):
            _check_kind(tower, layout)
            return layout
    looked_for = ", ".join(layout.blocks for layout in _KNOWN)
    raise TypeError(f"{type(tower).__name__} has no known blocks; searched for {looked_for}")


def _check_kind(tower: nn.Module, layout: Layout) -> None:
    """Raise TypeError for variants of the known towers with other parts."""
    trunk = getattr(tower, "trunk", None)
    if trunk is not None and type(trunk).__name__ != "VisionTransformer":
        raise TypeError(f"{type(tower).__name__} with a {type(trunk).__name__} is not supported")
    if not isinstance(tower.get_submodule(layout.patches), nn.Conv2d):
        raise TypeError(
            f"{type(tower).__name__} is not supported: it does not embed patches by one convolution"
        )


def has_part(tower: nn.Module, path: str) -> bool:
    """Return whether a tower has a module or parameter with this name."""
    parent, _, leaf = path.rpartition(".")
    try:
        holder = tower.get_submodule(parent)
    except AttributeError:
        return False
    return leaf in holder._modules or leaf in holder._parameters


def block_paths(tower: nn.Module) -> tuple[str, ...]:
    """Return the names of a tower's blocks from input to output.

    Raises:
        TypeError: The tower's layout is not known.
    """
    blocks = layout_of(tower).blocks
    return tuple(f"{blocks}.{name}" for name, _ in tower.get_submodule(blocks).named_children())

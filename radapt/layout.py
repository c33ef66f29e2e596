"""Names of the parts of vision towers, for each supported kind of tower."""

from dataclasses import dataclass, replace

from torch import nn

from radapt.grids import grids_of


@dataclass(frozen=True, slots=True)
class Layout:
    """Names of a tower's modules and parameters; a tower may lack some of them.

    Attributes:
        blocks: The list of blocks.
        patches: The convolution of the patch embedding, or the linear layer of a tower that takes
            patches.
        class_token: The class token.
        embedding: All modules and parameters before the blocks.
        attention: Modules and parameters of a block's attention half, named relative to the block:
            the norm, the attention, then those that scale its output.
        head: All modules and parameters after the blocks.
        registers: The register tokens `[1,r,d]`, which follow the class token.
        resizes: Whether the tower takes images of every multiple of its patch, although its
            configuration names one size.
    """

    blocks: str
    patches: str
    class_token: str
    embedding: tuple[str, ...]
    attention: tuple[str, ...]
    head: tuple[str, ...]
    registers: str = ""
    resizes: bool = False


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


_TIMM = Layout(  # in open_clip: SigLIP, EVA, EVA-02, PE-Core, ViTamin, MobileCLIP-B and -L
    blocks="trunk.blocks",
    patches="trunk.patch_embed.proj",
    class_token="trunk.cls_token",
    embedding=tuple(
        f"trunk.{name}"
        for name in (
            *("patch_embed", "cls_token", "reg_token", "pos_embed", "norm_pre"),
            *("rope", "shared_rel_pos"),
        )
    ),
    attention=("norm1", "attn", "ls1", "gamma_1", "drop_path1"),
    head=("trunk.norm", "trunk.attn_pool", "trunk.fc_norm", "trunk.head", "head"),
)
_STEM = "trunk.patch_embed.backbone"  # convolutions in place of the patch embedding

_QWEN = Layout(  # the vision tower of Qwen2-VL, Qwen2.5-VL and Qwen3-VL
    blocks="blocks",
    patches="patch_embed.proj",
    class_token="class_embedding",  # the tower has none
    embedding=("patch_embed", "pos_embed"),
    attention=("norm1", "attn"),
    head=("merger", "deepstack_merger_list"),
)

_PIXTRAL = Layout(
    blocks="transformer.layers",
    patches="patch_conv",
    class_token="class_embedding",  # the tower has none
    embedding=("patch_conv", "ln_pre"),
    attention=("attention_norm", "attention"),
    head=(),
)

_MLLAMA = Layout(  # Llama 3.2 Vision; its global blocks count as the head
    blocks="transformer.layers",
    patches="patch_embedding",
    class_token="class_embedding",
    embedding=(
        *("patch_embedding", "class_embedding", "gated_positional_embedding"),
        *("pre_tile_positional_embedding", "layernorm_pre"),
    ),
    attention=("input_layernorm", "self_attn"),
    head=("layernorm_post", "post_tile_positional_embedding", "global_transformer"),
)

_DINO_V2 = Layout(  # with registers or without
    blocks="encoder.layer",
    patches="embeddings.patch_embeddings.projection",
    class_token="embeddings.cls_token",
    embedding=("embeddings",),
    attention=("norm1", "attention", "layer_scale1"),
    head=("layernorm",),
    registers="embeddings.register_tokens",
    resizes=True,
)

_DINO_V3 = replace(
    _DINO_V2,
    blocks="model.layer",
    patches="embeddings.patch_embeddings",
    embedding=("embeddings", "rope_embeddings"),
    head=("norm",),
)

_INTERN_VIT = replace(
    _DINO_V2,
    attention=("layernorm_before", "attention", "lambda_1"),
    registers="",
)

_KNOWN = (
    *(_OPEN_CLIP, _hugging_face("vision_model."), _hugging_face(""), _TIMM, _QWEN),
    *(_PIXTRAL, _MLLAMA, _DINO_V2, _DINO_V3, _INTERN_VIT),
)
# timm's trunks with a list of equal blocks of attention
_TRUNKS = ("VisionTransformer", "Eva", "VisionTransformerRelPos")
# classes of timm, open_clip and transformers, and why they are refused
_NO_FIRST_ATTENTION = {
    "FastVit": "its blocks are convolutions, and attention follows only in its last stages",
    **dict.fromkeys(("ConvNeXt", "DINOv3ConvNextModel"), "it has no attention"),
    **dict.fromkeys(("ModifiedResNet", "ResNet"), "its blocks are convolutions"),
    "XCLIPVisionModel": "it takes the frames of videos",
    "SwinTransformer": "its attention is in windows, so its tokens are not in one sequence",
}


def layout_of(tower: nn.Module) -> Layout:
    """Return the layout of a vision tower of open_clip, timm (inside open_clip) or Hugging Face.

    Raises:
        TypeError: The tower is of another kind, such as a ResNet, a ConvNeXt or FastViT.
    """
    if hasattr(tower, "text_model") or hasattr(tower, "lm_head"):
        raise TypeError(f"{type(tower).__name__} is a whole model; pass its vision tower")
    trunk = getattr(tower, "trunk", None)
    kind = type(tower if trunk is None else trunk).__name__
    named = kind if trunk is None else f"{type(tower).__name__} with a {kind}"
    if kind in _NO_FIRST_ATTENTION:
        raise TypeError(f"{named} is not supported: {_NO_FIRST_ATTENTION[kind]}")
    if trunk is not None and kind not in _TRUNKS:
        raise TypeError(f"{named} is not supported; allowed: {', '.join(_TRUNKS)}")
    for layout in _KNOWN:
        if _matches(tower, layout):
            _check_embedding(tower, layout)
            return layout
    looked_for = ", ".join(dict.fromkeys(layout.blocks for layout in _KNOWN))
    raise TypeError(f"{type(tower).__name__} has no known blocks; searched for {looked_for}")


def _matches(tower: nn.Module, layout: Layout) -> bool:
    first = (f"{layout.blocks}.0.{name}" for name in layout.attention[:2])
    try:
        for path in (layout.patches, *first):
            tower.get_submodule(path)
    except AttributeError:
        return False
    return True


def _check_embedding(tower: nn.Module, layout: Layout) -> None:
    """Raise TypeError for variants of the known towers that make their tokens in another way."""
    order = grids_of(tower)
    form = None if order is None else order.form
    kind = {"packed": nn.Conv3d, "padded": nn.Linear}.get(form or "", nn.Conv2d)
    if isinstance(tower.get_submodule(layout.patches), kind) or has_stem(tower):
        return
    raise TypeError(
        f"{type(tower).__name__} is not supported: it does not embed patches by one convolution"
        + (", or takes them in an order that is not known" if layout is _QWEN else "")
    )


def has_stem(tower: nn.Module) -> bool:
    """Return whether a stem of several convolutions makes a tower's patch tokens."""
    return has_part(tower, _STEM)


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

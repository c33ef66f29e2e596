"""Build the model that a spec declares: images in [0,1] and texts to one embedding space."""

import importlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.compat import ensure_torchvision
from bench.errors import CellError
from bench.specs import GraftModel, ModelSpec, NanoModel, OpenClipModel, PythonModel, RAdaptModel
from bench.types import ImageTextModel
from radapt import Anchor, adapt, extract_anchor
from radapt.checkpoint import load_tower
from radapt.graft import graft
from radapt.tower import CLIP_MEAN, CLIP_STD, normalise


class ClipModel(nn.Module):
    """A CLIP whose resizing and normalisation are part of the forward pass."""

    def __init__(
        self,
        tower: nn.Module,
        encode: Callable[[Sequence[str]], Tensor],
        logit_scale: float,
        size: tuple[int, int],
        mean: tuple[float, ...],
        std: tuple[float, ...],
    ) -> None:
        """Wrap a vision tower that takes normalised pixels of `size`."""
        super().__init__()
        self.tower = tower
        self.encode = encode
        self.logit_scale = logit_scale
        self.size = size
        self.mean = mean
        self.std = std

    def encode_image(self, images: Tensor) -> Tensor:
        """Resize (bicubic, antialiased) where the size differs, normalise and embed."""
        if tuple(images.shape[-2:]) != self.size:
            images = F.interpolate(images, self.size, mode="bicubic", antialias=True).clamp(0, 1)
        return self.tower(normalise(images, self.mean, self.std))  # type: ignore[no-any-return]

    def encode_text(self, texts: Sequence[str]) -> Tensor:
        """Embed texts `[n,d]`."""
        return self.encode(texts)

    def with_tower(self, tower: nn.Module) -> "ClipModel":
        """Return the same model with another vision tower."""
        return ClipModel(tower, self.encode, self.logit_scale, self.size, self.mean, self.std)


def build_model(
    spec: ModelSpec,
    device: torch.device,
    refer: Callable[[str], ImageTextModel],
    *,
    trust: bool = False,
) -> ImageTextModel:
    """Build the model that a spec declares, frozen and in evaluation mode.

    Args:
        spec: The model.
        device: Where it runs.
        refer: Returns a model of the same suite by its name: an adapted or grafted model
            shares the weights of those it is made of.
        trust: Whether code named by the suite may be imported.

    Raises:
        CellError: The model cannot be built, with a reason for the user.
    """
    match spec:
        case NanoModel():
            return _nano(spec, device)
        case OpenClipModel():
            return _open_clip(spec, device)
        case RAdaptModel():
            return _radapt(spec, device, refer)
        case GraftModel():
            return _graft(spec, refer)
        case PythonModel():
            return _python(spec, device, trust=trust)


def _nano(spec: NanoModel, device: torch.device) -> ClipModel:
    from bench.nano.model import load_pair

    return _wrap(*load_pair(spec.weights), device)


def _open_clip(spec: OpenClipModel, device: torch.device) -> ClipModel:
    ensure_torchvision()
    import open_clip

    try:
        clip, _, _ = open_clip.create_model_and_transforms(spec.name, pretrained=spec.pretrained)
        tokenizer = open_clip.get_tokenizer(spec.name)
    except Exception as error:  # open_clip raises many kinds for one cause: it cannot be loaded
        raise CellError(f"open_clip cannot load {spec.name!r}: {error}") from error
    if spec.tower is not None:
        try:
            load_tower(clip.visual, Path(spec.tower))
        except ValueError as error:
            raise CellError(str(error)) from error
    return _wrap(clip, tokenizer, device)


def _wrap(clip: Any, tokenizer: Any, device: torch.device) -> ClipModel:
    clip = clip.to(device).eval().requires_grad_(False)

    def encode(texts: Sequence[str]) -> Tensor:
        with torch.no_grad():
            return clip.encode_text(tokenizer(list(texts)).to(device))  # type: ignore[no-any-return]

    size = clip.visual.image_size
    return ClipModel(
        clip.visual,
        encode,
        float(clip.logit_scale.exp()),
        (size, size) if isinstance(size, int) else tuple(size),
        tuple(getattr(clip.visual, "image_mean", None) or CLIP_MEAN),
        tuple(getattr(clip.visual, "image_std", None) or CLIP_STD),
    )


def open_clip_files(spec: OpenClipModel) -> list[Path]:
    """Return the local files that an open_clip model comes from: weights, and a hub's config.

    Weights named by a tag or a hub name are downloaded, or found in the hub's cache.

    Raises:
        CellError: The weights are not known or cannot be had.
    """
    if spec.tower is not None and not Path(spec.tower).exists():
        raise CellError(f"{spec.tower}: no such checkpoint")
    ensure_torchvision()
    from open_clip import pretrained as published

    files = [Path(spec.tower)] if spec.tower else []
    if spec.name.startswith("hf-hub:"):
        repository = spec.name.removeprefix("hf-hub:")
        # the config holds the architecture and the normalisation
        hub = [
            published.download_pretrained_from_hf(repository, filename=name)
            for name in (None, "open_clip_config.json")  # None: the weights, in either format
        ]
        return [*map(Path, hub), *files]
    if spec.pretrained is None:
        return files
    if Path(spec.pretrained).exists():
        return [Path(spec.pretrained), *files]
    tag = published.get_pretrained_cfg(spec.name, spec.pretrained)
    if not tag:
        known = ", ".join(published.list_pretrained_tags_by_model(spec.name)) or "none"
        raise CellError(f"{spec.name} has no pretrained tag {spec.pretrained!r}; known: {known}")
    return [Path(published.download_pretrained(tag)), *files]


def _radapt(
    spec: RAdaptModel, device: torch.device, refer: Callable[[str], ImageTextModel]
) -> ClipModel:
    base = _clip_only(spec.base, refer)
    try:
        if spec.anchor.white is not None:
            donor = _clip_only(spec.anchor.white, refer)
            anchor = extract_anchor(donor.tower, mean=donor.mean, std=donor.std)
        else:
            anchor = Anchor.load(str(spec.anchor.file))
        adapted = adapt(
            base.tower,
            Anchor(anchor.value.to(device), anchor.tower, anchor.size, anchor.origin),
            alpha=spec.alpha,
            cutoff=spec.cutoff,
            mix=spec.mix,
            cutoff_at=None if spec.cutoff_at == "image" else spec.cutoff_at,
            mean=base.mean,
            std=base.std,
        )
    except (OSError, ValueError, TypeError) as error:
        raise CellError(f"R-Adapt over {spec.base!r}: {error}") from error
    return base.with_tower(adapted)


def _graft(spec: GraftModel, refer: Callable[[str], ImageTextModel]) -> ClipModel:
    base, donor = _clip_only(spec.base, refer), _clip_only(spec.donor, refer)
    try:
        return base.with_tower(graft(base.tower, donor.tower, spec.modules))
    except (ValueError, TypeError) as error:
        raise CellError(f"a graft of {spec.donor!r} on {spec.base!r}: {error}") from error


def _clip_only(name: str, refer: Callable[[str], ImageTextModel]) -> ClipModel:
    model = refer(name)
    if not isinstance(model, ClipModel):
        raise CellError(f"a CLIP with a vision tower is needed; {name!r} is another kind")
    return model


def _python(spec: PythonModel, device: torch.device, *, trust: bool) -> ImageTextModel:
    if not trust:
        raise CellError(f"{spec.target} is code named by the suite; run with --trust to import it")
    module, _, attribute = spec.target.partition(":")
    try:
        factory = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise CellError(f"{spec.target}: {error}") from error
    model = factory(device=device, **spec.args)
    for member in ("encode_image", "encode_text", "logit_scale"):
        if not hasattr(model, member):
            raise CellError(f"{spec.target} returned an object without {member}")
    if isinstance(model, nn.Module):
        model.eval().requires_grad_(False)
    return model  # type: ignore[no-any-return]

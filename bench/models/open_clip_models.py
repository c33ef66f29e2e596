"""Models of open_clip, optionally with an image tower from another checkpoint."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.catalogue.repository_layouts import OPEN_CLIP_CONFIG, read_json
from bench.core.errors import CellError
from bench.hub.companions import located
from bench.hub.weights import companion_folders, own_files, weight_files
from bench.models.build_context import BuildContext
from bench.models.clip import ClipModel, Preprocessing
from bench.suite.specs import OpenClipModel, Resize
from radapt.clip import frozen
from radapt.file_settings import FileSettings
from radapt.from_open_clip import load_open_clip
from radapt.remote_code import RemoteCodeError
from radapt.state_dicts import load_tower
from radapt.tower import image_size

# mean cosine of weights: fine-tuned weights are near 1, independent weights near 0
_LEAST_SIMILARITY = 0.3
_COMPARED_MATRICES = 8


def build_open_clip(spec: OpenClipModel, context: BuildContext) -> ClipModel:
    """Build a model of open_clip.

    Raises:
        CellError: The model cannot be loaded, it cannot have the activation, or the tower file
            belongs to another model.
    """
    files = weight_files(spec)
    values = None if spec.preprocess is None else (spec.preprocess.mean, spec.preprocess.std)
    settings = FileSettings(values, spec.activation)
    try:
        with _loadable(spec) as (name, folders):
            clip, tokenizer = load_open_clip(name, spec.pretrained, settings, folders)
    except CellError:
        raise
    except Exception as error:  # open_clip raises many types when a model cannot be loaded
        raise CellError(f"{spec.name} cannot be loaded: {error}") from error
    if spec.tower is not None:
        _put_tower(clip.visual, files[-1], spec)
    return as_clip_model(clip, tokenizer, context.device, context.resize)


def as_clip_model(clip: Any, tokenizer: Any, device: torch.device, resize: Resize) -> ClipModel:
    """Return an open_clip model and its tokenizer as a frozen `ClipModel` on a device."""
    loaded = frozen(clip, tokenizer, device, "")
    preprocessing = Preprocessing(image_size(loaded.tower), loaded.mean, loaded.std, resize)
    return ClipModel(loaded.tower, loaded.encode, loaded.scale, preprocessing)


@contextmanager
def _loadable(spec: OpenClipModel) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield a model name under which open_clip loads exactly the files that the lock hashes.

    With it come the local folders of repositories that the name's built-in configuration names.
    """
    others = {key: str(folder) for key, folder in companion_folders(spec).items()}
    if spec.pretrained is not None:
        yield spec.name, others
        return
    files = own_files(spec)
    with TemporaryDirectory() as place:
        for path in files:
            if path.name == OPEN_CLIP_CONFIG:
                config = located(_with_booleans(read_json(path)), others)
                (Path(place) / path.name).write_text(json.dumps(config), "utf-8")
            else:
                (Path(place) / path.name).symlink_to(path.resolve())
        try:
            yield f"local-dir:{place}", {}
        except RemoteCodeError as error:  # its message names a file in the temporary folder
            own = next(path.parent for path in files if path.name == OPEN_CLIP_CONFIG)
            raise CellError(str(error).replace(place, str(own))) from error


def _with_booleans(value: Any) -> Any:
    """Return a configuration in which the strings `TRUE` and `FALSE` are booleans.

    RobustVLM's repositories have `"quick_gelu": "TRUE"`. Python counts any non-empty string as
    true, so `"FALSE"` would be true as well.
    """
    if isinstance(value, dict):
        return {key: _with_booleans(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_with_booleans(item) for item in value]
    words = {"true": True, "false": False}
    return words.get(value.lower(), value) if isinstance(value, str) else value


def _put_tower(visual: nn.Module, path: Path, spec: OpenClipModel) -> None:
    matrices = [name for name, value in visual.state_dict().items() if value.ndim > 1]
    before = {name: visual.state_dict()[name].clone() for name in matrices[:_COMPARED_MATRICES]}
    try:
        load_tower(visual, path)
    except ValueError as error:
        raise CellError(str(error)) from error
    similarity = _similarity(before, visual.state_dict())
    if similarity < _LEAST_SIMILARITY:
        raise CellError(
            f"{path}: this tower was not fine-tuned from the image tower of {spec.name} with "
            f"{spec.pretrained or 'its own weights'}: the mean cosine of their weights is "
            f"{similarity:.2f}, at least {_LEAST_SIMILARITY} is needed. So the text tower and the "
            "activation would not match it. Set `name` and `pretrained` to the model that it was "
            "fine-tuned from; towers of RobustVLM, TeCoA and TGA-ZSR need `pretrained: openai` "
            "with `name: ViT-L-14-quickgelu` or `name: ViT-B-32-quickgelu`"
        )


def _similarity(before: Mapping[str, Tensor], after: Mapping[str, Tensor]) -> float:
    """Return the mean cosine similarity of weights with the same names."""
    cosines = [
        float(F.cosine_similarity(value.flatten(), after[name].flatten(), dim=0))
        for name, value in before.items()
    ]
    return sum(cosines) / len(cosines)

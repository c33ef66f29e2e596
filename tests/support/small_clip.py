"""A small CLIP of open_clip with random weights, in the forms in which CLIPs are published."""

import io
import json
import zipfile
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor

from bench.core.torchvision_shim import ensure_torchvision

ensure_torchvision()
import open_clip  # noqa: E402

CONFIG: dict[str, Any] = {
    "embed_dim": 16,
    "vision_cfg": {"image_size": 32, "patch_size": 8, "width": 32, "head_width": 16, "layers": 2},
    "text_cfg": {
        "context_length": 77, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1,
    },
}  # fmt: skip
MEAN, STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)


def small_clip(seed: int = 5, **config: Any) -> Any:
    """Return the model in evaluation mode."""
    torch.manual_seed(seed)
    return open_clip.CLIP(**{**deepcopy(CONFIG), **config}).eval()


def pickled(state: Any) -> bytes:
    buffer = io.BytesIO()
    torch.save(state, buffer)
    return buffer.getvalue()


def hub_files(clip: Any, **config: Any) -> dict[str, bytes]:
    """Return files as in RobustVLM's repositories; `config` is added to the configuration."""
    written = {
        "model_cfg": {**CONFIG, **config},
        "preprocess_cfg": {"mean": list(MEAN), "std": list(STD)},
    }
    return {
        "open_clip_config.json": json.dumps(written).encode(),
        "open_clip_pytorch_model.bin": pickled(clip.state_dict()),
    }


def tuned(clip: Any, seed: int = 3) -> dict[str, Tensor]:
    """Return the state of a tower that is near to another's, as after fine-tuning."""
    generator = torch.Generator().manual_seed(seed)
    state: dict[str, Tensor] = clip.visual.state_dict()
    return {
        key: value + 1e-3 * torch.randn(value.shape, generator=generator)
        for key, value in state.items()
    }


def as_of_numpy_1(checkpoint: bytes) -> bytes:
    """Rewrite a checkpoint as one saved beside a numpy before 2, which named modules otherwise."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(checkpoint)) as old, zipfile.ZipFile(buffer, "w") as new:
        for item in old.infolist():
            new.writestr(item, old.read(item).replace(b"numpy._core", b"numpy.core"))
    return buffer.getvalue()

"""The embedded models."""

import torch

from bench.models.clip import ClipModel
from bench.models.with_open_clip import wrap
from bench.specs import NanoModel, Resize


def build_nano(spec: NanoModel, device: torch.device, resize: Resize) -> ClipModel:
    """Build one of the embedded models."""
    from bench.nano.model import load_pair

    return wrap(*load_pair(spec.weights), device, resize)

"""The embedded models."""

import torch

from bench.models.clip import ClipModel
from bench.models.open_clip_models import wrap
from bench.suite.specs import NanoModel, Resize


def build_nano(spec: NanoModel, device: torch.device, resize: Resize) -> ClipModel:
    """Build one of the embedded models."""
    from bench.nano.nano_clip import load_pair

    return wrap(*load_pair(spec.weights), device, resize)

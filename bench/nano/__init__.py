"""The embedded world: a small real CLIP with robust variants, and small real test sets."""

from bench.core.torchvision_shim import ensure_torchvision

ensure_torchvision()  # before any module here imports open_clip

"""The embedded models and datasets: a small trained CLIP, robust variants, small test sets."""

from bench.core.torchvision_shim import ensure_torchvision

ensure_torchvision()  # before any module here imports open_clip

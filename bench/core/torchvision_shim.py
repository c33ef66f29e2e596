"""Makes a CUDA build of torchvision importable with a CPU-only build of torch."""

from radapt.compat import ensure_torchvision

__all__ = ["ensure_torchvision"]

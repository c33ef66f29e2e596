"""Make torchvision importable where its CUDA-built wheel meets a CPU-only torch."""

from radapt.compat import ensure_torchvision

__all__ = ["ensure_torchvision"]

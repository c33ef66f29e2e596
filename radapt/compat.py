"""Make a CUDA build of torchvision importable with a CPU-only torch.

PyPI has only CUDA builds of torchvision for Linux; PyTorch's own index has builds for CPUs. With a
CPU-only torch the compiled operators of a CUDA build cannot load, and the import fails when it
registers shapes for a missing operator. This project and open_clip use only the pure-Python part
(transforms, datasets), which works once the operators are declared.
"""

import importlib
import sys
from types import ModuleType

# A torch.library.Library deregisters what it declared when it is collected.
_declared: list[object] = []


def ensure_torchvision() -> ModuleType:
    """Import torchvision, and declare its compiled operators if they are missing.

    Call it before importing libraries that import torchvision (open_clip, timm). If torch and
    torchvision match, it only imports. Compiled operators such as `nms` stay unavailable.

    Raises:
        RuntimeError: The import of torchvision fails for another reason.
    """
    try:
        return importlib.import_module("torchvision")
    except RuntimeError as error:
        if "torchvision::" not in str(error):
            raise
    import torch

    for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
        del sys.modules[name]
    library = torch.library.Library("torchvision", "FRAGMENT")
    for operator in ("nms", "qnms"):
        library.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    _declared.append(library)
    return importlib.import_module("torchvision")

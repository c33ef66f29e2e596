"""Make torchvision importable where its CUDA-built wheel meets a CPU-only torch.

PyPI carries only CUDA builds of torchvision. Beside a CPU torch their compiled
operators cannot load, and the import fails while it registers shapes for an
operator that is not there. The pure-Python part (transforms, datasets), which is
all that this project and open_clip use, works once the operators are declared.
"""

import importlib
import sys
from types import ModuleType

# A torch.library.Library deregisters what it declared when it is collected.
_declared: list[object] = []


def ensure_torchvision() -> ModuleType:
    """Import torchvision, declaring its missing compiled operators where needed.

    Call it before anything that imports torchvision (open_clip, timm). On a
    matching install it is a plain import. Compiled operators such as `nms` stay
    unavailable.

    Raises:
        RuntimeError: torchvision is broken in another way than the known one.
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

"""R-Adapt (arXiv 2603.12799): a robust CLIP by changing the first layers of its frozen tower.

anchor = extract_anchor(tower)                          # first attention output, white image
robust = adapt(tower, anchor, alpha=1.4, cutoff=40)     # a new tower; `tower` is not changed
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from radapt.adapted import adapt
    from radapt.anchor import Anchor, extract_anchor, resize_anchor
    from radapt.filters import GaussianFilter
    from radapt.fit import fit_anchor
    from radapt.fit_task import FitOptions
    from radapt.per_grid import PerGrid

__all__ = [
    "Anchor",
    "FitOptions",
    "GaussianFilter",
    "PerGrid",
    "adapt",
    "extract_anchor",
    "fit_anchor",
    "resize_anchor",
]
_HOMES = {
    "Anchor": "radapt.anchor",
    "FitOptions": "radapt.fit_task",
    "GaussianFilter": "radapt.filters",
    "PerGrid": "radapt.per_grid",
    "adapt": "radapt.adapted",
    "extract_anchor": "radapt.anchor",
    "fit_anchor": "radapt.fit",
    "resize_anchor": "radapt.anchor",
}


def __getattr__(name: str) -> Any:
    # lazy, because callers that use only the modules without torch should not import torch
    if name not in _HOMES:
        raise AttributeError(f"module 'radapt' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_HOMES[name]), name)

"""R-Adapt (arXiv 2603.12799): adversarial robustness for a frozen CLIP by changing its start.

anchor = extract_anchor(tower)                          # a white image through CLIP
robust = adapt(tower, anchor, alpha=1.4, cutoff=40)     # a new tower; `tower` stays as it was
"""

from radapt.adapt import adapt
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

"""Figures of sweeps and analyses, each with a table of its data.

Every function takes a stem and writes `<stem>.csv`, `<stem>.png` and `<stem>.svg`, always with the
same bytes for the same data. No information is shown by colour alone. Needs the `plot` extra.
"""

from radapt.figures.bars import ablation, dependence_bars
from radapt.figures.cka import cka_maps
from radapt.figures.curves import curves
from radapt.figures.maps import attention_overlays, spectral_maps

__all__ = [
    "ablation",
    "attention_overlays",
    "cka_maps",
    "curves",
    "dependence_bars",
    "spectral_maps",
]

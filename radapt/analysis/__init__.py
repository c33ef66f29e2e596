"""Analyses of vision towers: similarity of blocks, spectra of patch kernels, attention.

similarity = cka(clip, fare, batches)                   # [blocks, blocks]
shift = spectral_shift(clip, fare)                      # [patch, patch]
dependence = input_dependence(fare, batches, block=1)   # [heads]
"""

from radapt.analysis.attention import attention_weights, heat_map, input_dependence
from radapt.analysis.cka import cka
from radapt.analysis.spectrum import spectral_shift

__all__ = ["attention_weights", "cka", "heat_map", "input_dependence", "spectral_shift"]

"""Removes control characters from terminal output; both packages share the code."""

from radapt.terminal import Legible, behind, legible, legible_output

__all__ = ["Legible", "behind", "legible", "legible_output"]

"""Removes control characters from terminal output; both packages share the code."""

from radapt.terminal import Legible, inner_stream, legible, legible_output

__all__ = ["Legible", "inner_stream", "legible", "legible_output"]

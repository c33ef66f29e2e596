"""What may reach a terminal; the same for both packages."""

from radapt.terminal import Legible, inner_stream, legible, legible_output

__all__ = ["Legible", "inner_stream", "legible", "legible_output"]

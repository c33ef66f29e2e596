"""What may reach a terminal; the same for both packages."""

from radapt.terminal import Legible, behind, legible, legible_output

__all__ = ["Legible", "behind", "legible", "legible_output"]

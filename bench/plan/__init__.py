"""Cells and their identities, names locked to content, and what cells will cost."""

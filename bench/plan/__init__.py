"""Cells and their identities, names resolved to hashes, and cost estimates."""

"""Paired comparisons of results, and comparisons with published numbers."""

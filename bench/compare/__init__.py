"""Paired comparisons of results, and measured numbers beside published ones."""

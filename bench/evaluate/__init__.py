"""Evaluate one cell: a model, a dataset and an attack meet, and outcomes are counted."""

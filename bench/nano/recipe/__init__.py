"""Trains the embedded models from raw images: `python -m bench.nano.recipe`."""

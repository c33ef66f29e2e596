"""Compute one cell: run the attack on the model and the dataset, and score the images."""

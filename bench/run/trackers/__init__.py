"""Experiment trackers that follow a run: Trackio, Weights & Biases, TensorBoard."""

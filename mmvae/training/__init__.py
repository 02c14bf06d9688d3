"""Training: the run folder, checkpoints and the loop."""

"""The folder of a run: checkpoints, manifests, metrics and results."""

"""The files of a run: their names and paths."""

from __future__ import annotations

import os
from pathlib import Path

LOCK_OF_PLUGINS = "plugins.lock.json"

CREATED = ("config.toml", "config.resolved.toml", "env.json", LOCK_OF_PLUGINS, "status.json")
"""The files that make a folder a run, the status last."""

TRAINED = (*CREATED, "latest", "model")
"""Files and folders that a training writes."""

RESULTS = ("evaluation.json", "evaluation.items.safetensors", "report.html", "figures")
"""Files and folders that an evaluation or a report writes."""

OWN = (*TRAINED, *RESULTS, "checkpoints", "metrics.jsonl", "log.txt", "evaluation.parts")
"""Files and folders that only mmvae itself writes in a run folder."""


class RunFiles:
    """The paths in a run folder, which need not exist."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def config(self) -> Path:
        """The config as written."""
        return self.folder / "config.toml"

    @property
    def resolved(self) -> Path:
        """The config with every value filled in."""
        return self.folder / "config.resolved.toml"

    @property
    def log(self) -> Path:
        """The log of printed lines."""
        return self.folder / "log.txt"

    @property
    def metrics(self) -> Path:
        """One JSON object a line; see `MetricsLog`."""
        return self.folder / "metrics.jsonl"

    @property
    def evaluation(self) -> Path:
        """The statistics of the last evaluation."""
        return self.folder / "evaluation.json"

    @property
    def evaluation_items(self) -> Path:
        """The nats of each item for the likelihood queries of the last evaluation."""
        return self.folder / "evaluation.items.safetensors"

    @property
    def evaluation_parts(self) -> Path:
        """The folder of an unfinished evaluation's partial results."""
        return self.folder / "evaluation.parts"

    @property
    def report(self) -> Path:
        """The page for people."""
        return self.folder / "report.html"

    @property
    def figures(self) -> Path:
        """The folder of pictures."""
        return self.folder / "figures"

    @property
    def model(self) -> Path:
        """The folder of the final model."""
        return self.folder / "model"

    @property
    def checkpoints(self) -> Path:
        """The folder for `mmvae.runs.checkpoint_store.CheckpointStore`."""
        return self.folder / "checkpoints"

    @property
    def saved_nothing(self) -> bool:
        """True if there is neither a checkpoint nor a model."""
        return not any(map(os.path.lexists, (self.checkpoints, self.model)))

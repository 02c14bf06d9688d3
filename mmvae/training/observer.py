"""The observer contract: who looks on at a training, at set moments, and changes nothing in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field

from mmvae.data.batches import Batches
from mmvae.models.base import Model


class ObserverConfig(BaseModel):
    """The keys of ``[observers.NAME]`` that every observer has; each observer adds its own."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    every: int = Field(1, ge=1, description="Epochs from one look to the next.")


@dataclass(frozen=True, eq=False)
class Watched:
    """A training as observers see it.

    Attributes:
        model: The model, without extensions, in eval mode; its running mean of weights where
            ``train.ema`` keeps one.
        train: The training split.
        validation: The validation split, or None.
        seed: The run's seed.
        batch_size: Items to look at at once.
        folder: The run's folder, where an observer may write files of its own; None without.
        step: Steps done.
        epoch: Epochs done.
        epochs: Epochs in all.
    """

    model: Model
    train: Batches
    validation: Batches | None
    seed: int
    batch_size: int
    folder: Path | None
    step: int
    epoch: int
    epochs: int


class Observer:
    """Something that looks on at a training, switched on by a table ``[observers.NAME]``.

    It is called on the leading process alone, without gradients' being needed, while the others
    wait, so it should be quick. It must not change the model or the items. Its draws may come from
    ``watched.seed``; torch's global random state is put back after each call. It keeps nothing
    that a later call needs, so that a run that was stopped and resumed is observed as one that
    was not; what it finds out goes to ``metrics.jsonl`` or into files of its own.

    Args:
        config: The validated ``Config``.
        name: What its table is called.
    """

    kind: ClassVar[str]
    """The word used in TOML: ``kind = "…"``."""

    Config: ClassVar[type[ObserverConfig]] = ObserverConfig

    def __init__(self, config: Any, name: str) -> None:
        self.config, self.name = config, name

    def begin(self, watched: Watched) -> None:
        """Called when a training begins, and when it goes on; default: nothing.

        Raises:
            ConfigError: It cannot look on at such a model; the training ends before its first
            step.
        """

    def due(self, epoch: int, epochs: int) -> bool:
        """Whether to look after this epoch, counted from 1; default: every so many, and last."""
        return bool(epoch % self.config.every == 0 or epoch == epochs)

    def look(self, watched: Watched) -> Mapping[str, tuple[float, float | None]]:
        """Called after an epoch that is :meth:`due`, after its validation.

        Returns:
            Named figures, each with its standard error or None, for ``metrics.jsonl`` and the
            report's curves; default: none.
        """
        return {}

    def end(self, watched: Watched) -> None:
        """Called once the last epoch is done, or patience ended the training; default: nothing."""

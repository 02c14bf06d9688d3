"""The observer contract: observers watch a training at set moments and change nothing in it."""

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

    every: int = Field(1, ge=1, description="Epochs from one observation to the next.")


@dataclass(frozen=True, eq=False)
class Watched:
    """A training as observers see it.

    Attributes:
        model: The model, without extensions, in eval mode; with ``train.ema`` its running mean of
            weights.
        train: The training split.
        validation: The validation split, or None.
        seed: The run's seed.
        batch_size: Number of items per batch.
        folder: The run's folder, where an observer may write files of its own; None without.
        step: Steps done.
        epoch: Epochs done.
        epochs: Total number of epochs.
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
    """Watches a training; enabled by a table ``[observers.NAME]``.

    It is called on the main process only, under no_grad, while the others wait, so it should be
    quick. It must not change the model or the items. Its draws may come from ``watched.seed``;
    torch's global random state is restored after each call. It must keep no state that a later
    call needs, so that a resumed run is observed like an uninterrupted one. Its results go to
    ``metrics.jsonl`` or into files of its own.

    Args:
        config: The validated ``Config``.
        name: The name of its table.
    """

    kind: ClassVar[str]
    """The word used in TOML: ``kind = "…"``."""

    Config: ClassVar[type[ObserverConfig]] = ObserverConfig

    def __init__(self, config: Any, name: str) -> None:
        self.config, self.name = config, name

    def begin(self, watched: Watched) -> None:
        """Called when a training starts or resumes; default: nothing.

        Raises:
            ConfigError: It cannot observe such a model; the training ends before its first
                step.
        """

    def due(self, epoch: int, epochs: int) -> bool:
        """True if :meth:`look` is due after this epoch, from 1; default: at intervals and last."""
        return bool(epoch % self.config.every == 0 or epoch == epochs)

    def look(self, watched: Watched) -> Mapping[str, tuple[float, float | None]]:
        """Called after an epoch that is :meth:`due`, after its validation.

        Returns:
            Named statistics, each with its standard error or None, for ``metrics.jsonl`` and the
            report's curves; default: none.
        """
        return {}

    def end(self, watched: Watched) -> None:
        """Called after the last epoch, or when patience ended the training; default: nothing."""

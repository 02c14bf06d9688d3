"""Phases of a training step: the updates, and the terms of their objectives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn


@dataclass(frozen=True)
class Terms:
    """The result of an objective for one batch.

    Attributes:
        loss: Nats per item, shape (b,); falls as the model gets better; the trainer averages.
        named: Term → nats per item, shape (b,); signs as their names say.
    """

    loss: Tensor
    named: Mapping[str, Tensor]


@dataclass(frozen=True)
class Phase:
    """One update within a training step: its own loss over its own parameters.

    Attributes:
        name: Used in checkpoints and metrics.
        parameters: The parameters that this phase's optimizer updates. Those of other phases are
            held fixed meanwhile: this phase's loss gives them no gradient.
        settings: Keys of ``[train]`` with values of this phase's own: ``optimizer``,
            ``learning_rate``, ``betas``, ``eps``, ``momentum``, ``weight_decay``, ``clip_norm``,
            ``clip_value``. A schedule of the learning rate holds for all phases.
        first_epoch: The first epoch, from 0, that has this phase. Best weights by validation are
            chosen only after the last phase has begun.
    """

    name: str
    parameters: Sequence[nn.Parameter]
    settings: Mapping[str, Any] = field(default_factory=dict)
    first_epoch: int = 0

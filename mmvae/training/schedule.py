"""Schedules: pure functions of the epoch or step."""

from __future__ import annotations

import math
from typing import Literal


def warmup_weight(epoch: int, warmup_epochs: int) -> float:
    """Warm-up weight β of a regularisation term (T11).

    It grows linearly from 0 in the first epoch to 1 in epoch ``warmup_epochs`` and stays there;
    it is constant within an epoch.

    Args:
        epoch: Epoch, counted from 0.
        warmup_epochs: N_t; with 0 or 1 there is no warm-up.
    """
    return 1.0 if warmup_epochs <= 1 else min(1.0, epoch / (warmup_epochs - 1))


def warmup_weight_of_step(step: int, warmup_steps: int) -> float:
    """Warm-up weight β by steps instead of epochs, for trainings of few, long epochs.

    Args:
        step: Step, counted from 0.
        warmup_steps: Steps of growth; the first step already has 1 / warmup_steps.
    """
    return min(1.0, (step + 1) / warmup_steps)


def learning_rate(
    step: int,
    total_steps: int,
    peak: float,
    schedule: Literal["constant", "linear", "cosine"] = "constant",
    warmup_steps: int = 0,
    final: float = 0.0,
) -> float:
    """Learning rate of a step: linear growth over ``warmup_steps``, then the schedule.

    Args:
        step: Step, counted from 0.
        total_steps: Steps of the whole training.
        peak: The highest rate.
        schedule: ``"constant"``, or a linear or cosine decay to ``final`` at the last step.
        warmup_steps: Steps of growth; the first step already has peak / warmup_steps.
        final: The rate at the last step of a falling schedule.
    """
    if step < warmup_steps:
        return peak * (step + 1) / warmup_steps
    if schedule == "constant":
        return peak
    progress = min(1.0, (step - warmup_steps) / max(1, total_steps - 1 - warmup_steps))
    share = 1.0 - progress if schedule == "linear" else 0.5 * (1.0 + math.cos(math.pi * progress))
    return final + (peak - final) * share

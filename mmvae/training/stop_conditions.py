"""The conditions that stop a training before its last epoch: limits and signals."""

from __future__ import annotations

import time
from dataclasses import dataclass

from mmvae.foundations.signals import EXIT_CODES, StopRequests
from mmvae.training.distributed import agreed, talks
from mmvae.training.step import Stepper


@dataclass(frozen=True)
class Limits:
    """Limits that may end a training before its last epoch.

    Attributes:
        max_steps: Stop after this total number of steps.
        max_seconds: Stop this many seconds after the start of this process's training.
    """

    max_steps: int | None = None
    max_seconds: float | None = None


class StopConditions:
    """The limits of one session of training, its clock, and the signals that stop it.

    Args:
        stepper: Performs the steps.
    """

    def __init__(self, stepper: Stepper) -> None:
        self.stepper = stepper
        self.limits, self.began, self.first_step = Limits(), time.monotonic(), 0

    def begin(self, limits: Limits) -> None:
        """Start the clock at the present step."""
        self.limits, self.began = limits, time.monotonic()
        self.first_step = self.stepper.state.position.step

    @property
    def seconds(self) -> float:
        """Seconds since the session began."""
        return time.monotonic() - self.began

    def reason(self, requests: StopRequests) -> str | int | None:
        """The reason to stop before the next step, if any; processes agree, to stop together.

        Returns:
            An option of the command line, the exit code of a signal, or None.
        """
        limits, step = self.limits, self.stepper.state.position.step
        if limits.max_steps is not None and step >= limits.max_steps:
            return "--max-steps"
        if not talks(step, self.stepper.accelerator):
            return None
        reason = 0
        if requests.received is not None:
            reason = EXIT_CODES[requests.received]
        elif limits.max_seconds is not None and self.seconds > limits.max_seconds:
            reason = 1
        reason = agreed(reason, self.stepper.accelerator)
        return {0: None, 1: "--max-time"}.get(reason, reason)

    def seconds_left(self, done: int) -> float:
        """Seconds until the last step, or until an earlier limit."""
        since, limits, total = self.seconds, self.limits, self.stepper.total_steps
        steps = max(done - self.first_step, 1)
        last = total if limits.max_steps is None else limits.max_steps
        left = since / steps * max(min(last, total) - done, 0)
        return (
            left if limits.max_seconds is None else min(left, max(limits.max_seconds - since, 0))
        )

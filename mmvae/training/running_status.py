"""The status of a training that runs: ``status.json``, kept up to date."""

from __future__ import annotations

import time

from mmvae.runs.run import Run
from mmvae.runs.run_place import misplaced
from mmvae.training.step import Stepper

PAUSE_S = 5.0
"""Seconds between two updates for records alone."""


class RunningStatus:
    """Writes the present step to the run's status.

    Args:
        run: Its folder on the leading process, None on the others.
        stepper: Performs the steps.
    """

    def __init__(self, run: Run | None, stepper: Stepper) -> None:
        self.run, self.stepper, self.written = run, stepper, time.monotonic()

    def write(self) -> None:
        """Update ``status.json``."""
        if self.run is not None:
            self.written = time.monotonic()
            step, epoch = self.stepper.state.position.step, self.stepper.epoch
            self.run.write_status("running", step=step, epoch=epoch, message="training")

    def write_at_intervals(self) -> None:
        """Update ``status.json``, but not at every record of a quick training.

        If something else took the place of a file of the run, the next save repairs it.
        """
        if self.run is not None and time.monotonic() - self.written >= PAUSE_S:
            self.run.check_in_place()
            if not misplaced(self.run.folder):
                self.write()

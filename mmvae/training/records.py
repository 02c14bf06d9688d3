"""The records of a training: lines of ``metrics.jsonl``, numbers of trackers, progress."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from accelerate import Accelerator

from mmvae.foundations.progress import Progress
from mmvae.runs.metrics_log import MetricsLog
from mmvae.runs.run import Run
from mmvae.training.distributed import leading
from mmvae.training.state import Position


class Records:
    """Writes each record to the run's metrics, to the trackers and to the progress.

    Args:
        run: Its folder on the leading process, None on the others.
        accelerator: Processes and trackers.
        progress: Shows progress to people.
        total_steps: Total number of steps of the training.
    """

    def __init__(
        self, run: Run | None, accelerator: Accelerator, progress: Progress, total_steps: int
    ) -> None:
        self.run, self.accelerator, self.progress = run, accelerator, progress
        self.total_steps = total_steps
        self.metrics: MetricsLog | None = None

    @contextmanager
    def opened(self) -> Iterator[None]:
        """Open ``metrics.jsonl``; close it at the end of the block, with all lines on disk."""
        if self.run is None:
            yield
            return
        self.run.repair()
        self.metrics = MetricsLog(self.run.metrics)
        try:
            yield
        finally:
            self.metrics.flush()
            self.metrics.close()
            self.metrics = None

    def truncate(self, position: Position) -> None:
        """Drop the lines of steps after a position."""
        if self.metrics is not None:
            self.metrics.truncate(position.metrics_offset)

    def mark(self, position: Position) -> None:
        """Note in a position the lines written so far, once they are on disk."""
        if self.metrics is not None:
            self.metrics.flush()
            position.metrics_offset = self.metrics.offset
            position.metrics_sha256 = self.metrics.sha256

    def write(self, record: Mapping[str, Any], seconds_left: float) -> None:
        """Write one record."""
        if self.metrics is not None:
            self.metrics.append(dict(record))
        if self.accelerator.trackers:
            numbers = {
                f"{record['split']}/{k}": v for k, v in record.items() if isinstance(v, float)
            }
            self.accelerator.log(numbers, step=record["step"])
        if leading(self.accelerator):
            self.progress.record(record, self.total_steps, seconds_left)

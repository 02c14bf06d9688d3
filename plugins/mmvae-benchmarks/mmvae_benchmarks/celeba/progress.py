"""Progress of the cropping on standard error: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import threading
import time
from contextlib import ExitStack
from datetime import timedelta

from rich import progress as bars
from rich.console import Console

PAUSE_S = 10.0


class Progress:
    """Rate and time left for a number of pictures; :meth:`advance` is safe from several threads.

    Args:
        total: Number of pictures.
    """

    def __init__(self, total: int) -> None:
        self.total, self.before, self.count = total, 0, 0
        self._lock, self._stack = threading.Lock(), ExitStack()
        self._started = self._said = time.monotonic()
        self._bar: bars.Progress | None = None

    def __enter__(self) -> Progress:
        if sys.stderr.isatty():
            self._bar = self._stack.enter_context(
                bars.Progress(
                    "{task.description}",
                    bars.BarColumn(),
                    bars.MofNCompleteColumn(),
                    bars.TextColumn("{task.fields[rate]}"),
                    bars.TimeRemainingColumn(),
                    console=Console(stderr=True),
                    transient=True,
                )
            )
            self._bar.add_task("cropping pictures", total=self.total, rate="")
        return self

    def __exit__(self, *details: object) -> None:
        self._stack.close()

    def begin(self, done: int) -> None:
        """Print the number of pictures that were done before."""
        self.before, self._started = done, time.monotonic()
        if self._bar is None:
            self._say(f"cropping {self.total - done:,} of {self.total:,} pictures")

    def advance(self) -> None:
        """Count one more picture as done."""
        with self._lock:
            self.count += 1
            now = time.monotonic()
            rate = self.count / max(now - self._started, 1e-9)
            done = self.before + self.count
            if self._bar is not None:
                self._bar.update(self._bar.task_ids[0], completed=done, rate=f"{rate:.0f}/s")
            elif now - self._said >= PAUSE_S:
                self._said = now
                left = timedelta(seconds=round((self.total - done) / rate))
                self._say(f"{done:,}/{self.total:,} pictures, {rate:.0f}/s, {left} left")

    def _say(self, line: str) -> None:
        print(f"celeba: {line}", file=sys.stderr, flush=True)

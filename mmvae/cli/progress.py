"""Progress of commands on standard error."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from mmvae.cli.options import echo, say, verbosity
from mmvae.cli.training import progress as training_progress
from mmvae.foundations.progress import NOBODY, Progress

if TYPE_CHECKING:
    from rich.progress import TaskID

Part = Callable[[str, int, int], None]

PAUSE_S = 10.0
"""Seconds between two lines without a terminal."""


@contextmanager
def shown_progress() -> Iterator[Progress]:
    """Progress of the work in a block; no bar is left at its end."""
    shown = ShownProgress()
    try:
        yield shown
    finally:
        shown.close()


class ShownProgress(Progress):
    """Shows remarks, parts as :func:`shown_parts` does, and trainings as ``mmvae train`` does.

    Bars stay until something else is shown.
    """

    def __init__(self) -> None:
        self._parts = ExitStack()
        self._part: Part | None = None
        self._training: Progress | None = None

    def __enter__(self) -> ShownProgress:
        self.close()
        self._training = training_progress()
        self._training.__enter__()
        return self

    def __exit__(self, *details: object) -> None:
        training, self._training = self._training, None
        if training is not None:
            training.__exit__(*details)

    def say(self, line: str) -> None:
        """See :meth:`Progress.say`."""
        self.close()
        if self._training is None:
            say(line)
        else:
            self._training.say(line)

    def part(self, what: str, done: int, total: int) -> None:
        """See :meth:`Progress.part`."""
        if self._part is None:
            self._part = self._parts.enter_context(shown_parts())
        self._part(what, done, total)

    def record(self, record: Mapping[str, Any], total_steps: int, seconds_left: float) -> None:
        """See :meth:`Progress.record`."""
        if self._training is not None:
            self._training.record(record, total_steps, seconds_left)

    def close(self) -> None:
        """Remove the bars."""
        self._part = None
        self._parts.close()


@contextmanager
def shown_parts() -> Iterator[Part]:
    """A function to report parts: bars on a terminal, lines without one, nothing if quiet."""
    if verbosity().quiet:
        yield NOBODY.part
    elif sys.stderr.isatty():
        with bars() as part:
            yield part
    else:
        yield Lines()


@contextmanager
def bars() -> Iterator[Part]:
    """A bar for each running task, with the time left."""
    from rich.console import Console
    from rich.progress import Progress as Bars

    tasks: dict[str, TaskID] = {}
    with Bars(console=Console(stderr=True), transient=True) as drawn:

        def part(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = drawn.add_task(what)
            drawn.update(tasks[what], completed=done, total=total)

        yield part


class Lines:
    """A plain line at intervals, for logs and pipes: task, progress, and time left.

    Quick work prints nothing: the first line comes after the pause.
    """

    def __init__(self) -> None:
        self.said = time.monotonic()
        self.begun: dict[str, tuple[float, int]] = {}

    def __call__(self, what: str, done: int, total: int) -> None:
        """See :meth:`Progress.part`."""
        from mmvae.training.progress import duration

        now = time.monotonic()
        started, before = self.begun.setdefault(what, (now, done))
        if now - self.said < PAUSE_S:
            return
        self.said = now
        left = ""
        if done > before:
            seconds = (now - started) / (done - before) * (total - done)
            left = f"  left {duration(seconds)}"
        echo(f"{what}  {done:,}/{total:,}{left}", err=True)

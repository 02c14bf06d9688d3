"""Progress on standard error of commands other than training."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from mmvae.cli.options import echo, manners
from mmvae.evaluation.steps import Step, quiet

if TYPE_CHECKING:
    from rich.progress import TaskID


PAUSE_S = 10.0
"""Seconds between two lines without a terminal."""


@contextmanager
def shown_steps() -> Iterator[Step]:
    """A function to report progress: bars on a terminal, lines without one, nothing if quiet."""
    if manners().quiet:
        yield quiet
    elif sys.stderr.isatty():
        with bars() as step:
            yield step
    else:
        yield Lines()


@contextmanager
def bars() -> Iterator[Step]:
    """A bar for each running task, with the time left."""
    from rich.console import Console
    from rich.progress import Progress

    tasks: dict[str, TaskID] = {}
    with Progress(console=Console(stderr=True), transient=True) as drawn:

        def step(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = drawn.add_task(what)
            drawn.update(tasks[what], completed=done, total=total)

        yield step


class Lines:
    """A plain line at intervals, for logs and pipes: task, progress, and time left.

    Quick work prints nothing: the first line comes after the pause.
    """

    def __init__(self) -> None:
        self.said = time.monotonic()
        self.begun: dict[str, tuple[float, int]] = {}

    def __call__(self, what: str, done: int, total: int) -> None:
        """See :data:`mmvae.evaluation.steps.Step`."""
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

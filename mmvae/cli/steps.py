"""Progress of commands that are no training: what is going on, on standard error."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import Progress, TaskID

from mmvae.cli.options import manners
from mmvae.evaluation.steps import Step, quiet


@contextmanager
def shown_steps() -> Iterator[Step]:
    """A function to tell of progress: bars on a terminal, nothing without one or if quiet."""
    if manners().quiet or not sys.stderr.isatty():
        yield quiet
        return
    tasks: dict[str, TaskID] = {}
    with Progress(console=Console(stderr=True), transient=True) as bars:

        def step(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = bars.add_task(what)
            bars.update(tasks[what], completed=done, total=total)

        yield step

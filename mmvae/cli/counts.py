"""Progress of many similar tasks: number done, speed, and time left."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from mmvae.cli.options import say, verbosity
from mmvae.foundations.progress import NOBODY, Progress

if TYPE_CHECKING:
    from rich import progress as bars


PAUSE_S = 10.0


@contextmanager
def shown_counts() -> Iterator[Progress]:
    """Progress of counted things: a bar on a terminal, elsewhere a line at intervals."""
    if verbosity().quiet:
        yield NOBODY
    elif sys.stderr.isatty():
        with _bar() as bar:
            yield Bar(bar)
    else:
        yield Lines()


class Pace:
    """Speed and time left in words, measured since the first call."""

    def __init__(self) -> None:
        self._start: tuple[float, int] | None = None

    def __call__(self, done: int, total: int) -> str:
        """Return ``"70/s, 1m20s left"``; an empty text before anything is done."""
        from mmvae.training.progress import duration

        now = time.monotonic()
        since, before = self._start = self._start or (now, done)
        if done == before or now == since:
            return ""
        rate = (done - before) / (now - since)
        return f"{rate:.3g}/s, {duration((total - done) / rate)} left"


class Lines(Progress):
    """A line at intervals: things done, their total, and the pace."""

    def __init__(self) -> None:
        self._pace, self._said = Pace(), time.monotonic()

    def part(self, what: str, done: int, total: int) -> None:
        """See :meth:`Progress.part`; ``what`` are the counted things, in the plural."""
        words, now = self._pace(done, total), time.monotonic()
        if words and (now - self._said >= PAUSE_S or done == total):
            self._said = now
            say(f"{done}/{total} {what}  {words}")


class Bar(Progress):
    """A bar with the things done, their total, and the pace.

    Args:
        drawn: The bars of the terminal.
    """

    def __init__(self, drawn: bars.Progress) -> None:
        self._drawn, self._pace = drawn, Pace()
        self._task: bars.TaskID | None = None

    def part(self, what: str, done: int, total: int) -> None:
        """See :meth:`Progress.part`; ``what`` are the counted things, in the plural."""
        if self._task is None:
            self._task = self._drawn.add_task(what, pace="")
        pace = self._pace(done, total)
        self._drawn.update(self._task, completed=done, total=total, pace=pace)


def _bar() -> bars.Progress:
    from rich import progress as bars
    from rich.console import Console

    return bars.Progress(
        "{task.description}",
        bars.BarColumn(),
        bars.MofNCompleteColumn(),
        bars.TextColumn("{task.fields[pace]}"),
        console=Console(stderr=True),
        transient=True,
    )

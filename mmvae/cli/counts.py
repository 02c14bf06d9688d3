"""Progress of many similar tasks: number done, speed, and time left."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from mmvae.cli.options import manners, say

if TYPE_CHECKING:
    from rich import progress as bars


Tell = Callable[[int, int], None]
"""Called with the number of tasks done and their total."""

PAUSE_S = 10.0


@contextmanager
def shown_counts(what: str) -> Iterator[Tell]:
    """A function to report progress: a bar on a terminal, elsewhere a line at intervals.

    Args:
        what: Name of the counted things, in the plural.
    """
    if manners().quiet:
        yield lambda done, total: None
    elif sys.stderr.isatty():
        with _bar() as bar:
            task, pace = bar.add_task(what, pace=""), Pace()
            yield lambda done, total: bar.update(
                task, completed=done, total=total, pace=pace(done, total)
            )
    else:
        yield _lines(what)


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


def _lines(what: str) -> Tell:
    pace, said = Pace(), time.monotonic()

    def tell(done: int, total: int) -> None:
        nonlocal said
        words, now = pace(done, total), time.monotonic()
        if words and (now - said >= PAUSE_S or done == total):
            said = now
            say(f"{done}/{total} {what}  {words}")

    return tell


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

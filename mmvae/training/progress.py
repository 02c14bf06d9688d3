"""Progress of a training for people: a live table, or plain lines without a terminal."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TextIO

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from mmvae.foundations.errors import TrainingError
from mmvae.foundations.journal import Journal
from mmvae.foundations.printable import printable
from mmvae.foundations.progress import NOBODY, Progress

_REDRAW_S = 0.1  # drawing a table takes longer than a small step


class PlainProgress(Progress):
    """One line per record, for logs and pipes.

    Args:
        stream: The output stream; default: standard error.
        pause: Seconds in which a split has at most one line; the last step always has its own.
    """

    def __init__(self, stream: TextIO | None = None, pause: float = 0.0) -> None:
        self.stream, self.pause = stream or sys.stderr, pause
        self.last: dict[str, float] = {}

    def record(self, record: Mapping[str, Any], total_steps: int, seconds_left: float) -> None:
        """See :meth:`Progress.record`."""
        now, split = time.monotonic(), record["split"]
        if now - self.last.get(split, -math.inf) < self.pause and record["step"] < total_steps:
            return
        self.last[split] = now
        terms = "  ".join(f"{k} {v:.4g}" for k, v in shown_terms(record).items())
        rate = (
            f"  {record['items_per_second']:.0f} items/s" if "items_per_second" in record else ""
        )
        self.say(
            f"{record['split']:<10} epoch {record['epoch']:>4}  "
            f"step {record['step']}/{total_steps}  {terms}{rate}  left {duration(seconds_left)}"
        )

    def say(self, line: str) -> None:
        """See :meth:`Progress.say`."""
        print(printable(line), file=self.stream, flush=True)


class LiveProgress(Progress):
    """A live table on a terminal: terms of the bound, rate, time left, age of the checkpoint.

    Args:
        console: The terminal; default: that of standard error.
    """

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(stderr=True)
        self.live = Live(console=self.console, auto_refresh=False, transient=False)
        self.latest: dict[str, Mapping[str, Any]] = {}
        self.saved, self.drawn = time.monotonic(), -math.inf
        self.headline = Text()

    def __enter__(self) -> LiveProgress:
        self.live.__enter__()
        return self

    def __exit__(self, *details: Any) -> None:
        self._draw()
        self.live.__exit__(*details)

    def record(self, record: Mapping[str, Any], total_steps: int, seconds_left: float) -> None:
        """See :meth:`Progress.record`."""
        self.latest[record["split"]] = record
        self.headline = self._headline(record, total_steps, seconds_left)
        if time.monotonic() - self.drawn >= _REDRAW_S:
            self._draw()

    def say(self, line: str) -> None:
        """See :meth:`Progress.say`."""
        if line.startswith("saved"):
            self.saved = time.monotonic()
        else:
            self.console.print(printable(line), highlight=False, markup=False)

    def _draw(self) -> None:
        self.drawn = time.monotonic()
        self.live.update(Group(self.headline, self._table()), refresh=True)

    def _headline(self, newest: Mapping[str, Any], total_steps: int, seconds_left: float) -> Text:
        rates = [r["items_per_second"] for r in self.latest.values() if "items_per_second" in r]
        rate = f"  {rates[0]:.0f} items/s" if rates else ""
        return Text(
            f"epoch {newest['epoch']}  step {newest['step']}/{total_steps}{rate}  "
            f"left {duration(seconds_left)}  "
            f"last checkpoint {duration(time.monotonic() - self.saved)} ago"
        )

    def _table(self) -> Table:
        """The terms of each split's latest record side by side."""
        table = Table("nats per item") if self.latest else Table.grid()
        for split in self.latest:
            table.add_column(split, justify="right")
        names = dict.fromkeys(n for r in self.latest.values() for n in shown_terms(r))
        for name in names:
            values = (shown_terms(r).get(name) for r in self.latest.values())
            table.add_row(name, *("" if v is None else f"{v:.3f}" for v in values))
        return table


class LoggedProgress(Progress):
    """Shows progress and adds its plain lines to ``log.txt``, with the outcome of the training.

    Neither may end the training: the terminal may close, and the disk of the log may fill up.

    Args:
        shown: The progress that people see.
        path: The log; lines are added to those of earlier trainings of the run.
    """

    def __init__(self, shown: Progress, path: Path) -> None:
        self.shown, self.path = shown, path
        self.lines, self.logs = PlainLines(), True

    def __enter__(self) -> LoggedProgress:
        self.lines.journal = Journal(self.path)
        self._show(lambda shown: shown.__enter__())
        self.say(f"run folder: {self.path.parent}")
        return self

    def __exit__(self, *details: object) -> None:
        self._show(lambda shown: shown.__exit__(*details))
        assert self.lines.journal is not None
        error = details[1]
        if error is not None:
            self._log(lambda: self.lines.say(f"{type(error).__name__}: {error}"))
        self.lines.journal.close()

    def record(self, record: Mapping[str, Any], total_steps: int, seconds_left: float) -> None:
        """See :meth:`Progress.record`."""
        self._show(lambda shown: shown.record(record, total_steps, seconds_left))
        self._log(lambda: self.lines.record(record, total_steps, seconds_left))

    def part(self, what: str, done: int, total: int) -> None:
        """See :meth:`Progress.part`; the log has none."""
        self._show(lambda shown: shown.part(what, done, total))

    def say(self, line: str) -> None:
        """See :meth:`Progress.say`."""
        self._show(lambda shown: shown.say(line))
        self._log(lambda: self.lines.say(line))

    def _show(self, call: Callable[[Progress], object]) -> None:
        """Show something; after the system refuses once, only the log records progress."""
        try:
            call(self.shown)
        except OSError as error:
            self.shown = NOBODY
            remark = f"progress can no longer be shown ({error.strerror or error})"
            self._log(lambda: self.lines.say(remark))

    def _log(self, call: Callable[[], None]) -> None:
        """Log something; drop lines that the system refuses, and report the first such failure."""
        try:
            call()
        except TrainingError as error:
            if self.logs:
                self.logs = False
                remark = f"{error} The training continues without this log."
                self._show(lambda shown: shown.say(remark))


class PlainLines(PlainProgress):
    """Plain lines into a journal, once it is open."""

    journal: Journal | None = None

    def say(self, line: str) -> None:
        """See :meth:`Progress.say`."""
        if self.journal is not None:
            self.journal.append(printable(line).encode() + b"\n")


def shown_terms(record: Mapping[str, Any]) -> dict[str, float]:
    """The terms of a record that are shown on the screen."""
    hidden = {"step", "epoch", "split", "seconds", "items_per_second", "learning_rate"}
    if record.get("beta") == 1.0:  # no longer of interest
        hidden.add("beta")
    return {
        name: value
        for name, value in record.items()
        if name not in hidden
        and not name.startswith("subset_kl/")
        and isinstance(value, (int, float))
    }


def duration(seconds: float) -> str:
    """Format seconds: ``"1h02m"``, ``"3m20s"``, ``"8s"``."""
    if seconds != seconds or seconds == float("inf"):
        return "?"
    whole = int(seconds)
    if whole >= 3600:
        return f"{whole // 3600}h{whole % 3600 // 60:02d}m"
    return f"{whole // 60}m{whole % 60:02d}s" if whole >= 60 else f"{whole}s"


def progress_for(stream: TextIO, quiet: bool = False) -> Progress:
    """The kind of progress that suits the output stream."""
    if quiet:
        return NOBODY
    return LiveProgress() if stream.isatty() else PlainProgress(stream, pause=2.0)

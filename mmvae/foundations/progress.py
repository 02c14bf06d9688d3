"""Progress of long work, for people: remarks, parts done, records of a training."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any


class Progress:
    """Progress that reports to nobody; the base of all others.

    A training uses it as a context manager.
    """

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *details: object) -> None:
        return None

    def say(self, line: str) -> None:
        """Show one line of text."""

    def part(self, what: str, done: int, total: int) -> None:
        """Show how much of some work is done.

        Args:
            what: A description of the work.
            done: The number of its parts that are done.
            total: Their total.
        """

    def record(self, record: Mapping[str, Any], total_steps: int, seconds_left: float) -> None:
        """Show one metrics record of a training, a line of ``metrics.jsonl``."""


class Remarks(Progress):
    """Prints remarks on standard error, and nothing else; of a training it prints nothing."""

    _training = False

    def __enter__(self) -> Remarks:
        self._training = True
        return self

    def __exit__(self, *details: object) -> None:
        self._training = False

    def say(self, line: str) -> None:
        """See :meth:`Progress.say`."""
        if not self._training:
            print(line, file=sys.stderr)


NOBODY = Progress()
"""Progress that reports to nobody: the default of functions within."""

"""How long work tells of its progress."""

from __future__ import annotations

from collections.abc import Callable

Step = Callable[[str, int, int], None]
"""Called with what is going on, how many of its parts are done, and of how many."""


def quiet(what: str, done: int, total: int) -> None:
    """Tell nobody."""

"""Progress reports of long work."""

from __future__ import annotations

from collections.abc import Callable

Step = Callable[[str, int, int], None]
"""Called with a description of the work, the number of parts done and their total."""


def quiet(what: str, done: int, total: int) -> None:
    """Report to nobody."""

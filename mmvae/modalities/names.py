"""Names of classes or cells: their checks in a config and in a state, their list in messages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from pydantic import AfterValidator

from mmvae.foundations.printable import is_unicode


def distinct_names(names: tuple[str, ...]) -> tuple[str, ...]:
    """Return names from a config if each can be told from the others.

    Raises:
        ValueError: There is none, one occurs twice, or one is empty.
    """
    if not names or len(set(names)) < len(names):
        raise ValueError("expected at least one name, each name once")
    if "" in names:
        raise ValueError("expected names of one character at least, got ''")
    return names


Names = Annotated[tuple[str, ...], AfterValidator(distinct_names)]
"""Type of a config key: one or more names, each once, none empty."""


def listed(names: Sequence[str], most: int = 40) -> str:
    """Return the first ``most`` names, separated by commas, for a message."""
    return ", ".join(names[:most]) + (", …" if len(names) > most else "")


def is_name(value: Any) -> bool:
    """True if a value can name a class or a cell: a text, not empty, of valid Unicode."""
    return isinstance(value, str) and bool(value) and is_unicode(value)


def check_names(state: Mapping[str, Any], key: str = "names") -> None:
    """Require a list of names, each once, in a codec's state.

    Args:
        state: The state, for :meth:`mmvae.Codec.check_state`.
        key: The key of the list.

    Raises:
        ValueError: There is something else.
    """
    names = state[key]
    sound = isinstance(names, (list, tuple)) and bool(names) and all(map(is_name, names))
    if not sound or len(set(names)) < len(names):
        raise ValueError(f"{key} is {names!r:.80}, expected a list of names, each once")

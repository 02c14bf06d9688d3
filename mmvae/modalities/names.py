"""Names of classes or cells: the check of those in a config, and their list in messages."""

from __future__ import annotations

from collections.abc import Sequence
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


def is_name(value: Any) -> bool:
    """True if a value can name a class or an attribute: a text, not empty, of valid Unicode."""
    return isinstance(value, str) and bool(value) and is_unicode(value)


def are_names(values: Sequence[Any]) -> bool:
    """True if values can name the classes or cells of a codec: at least one, each once."""
    return bool(values) and all(map(is_name, values)) and len(set(values)) == len(values)


def listed(names: Sequence[str], most: int = 40) -> str:
    """Return the first ``most`` names, separated by commas, for a message."""
    return ", ".join(names[:most]) + (", …" if len(names) > most else "")

"""Values of JSON: their kinds, and those that no table of Arrow holds."""

from __future__ import annotations

from typing import Any, Literal

from mmvae.data.written_cells import LARGEST, of_numbers
from mmvae.foundations.errors import short
from mmvae.foundations.printable import is_unicode

NOT_FINITE = {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": -float("inf")}
"""The written form of numbers that JSON lacks."""

Found = Literal["text", "word", "integer", "number", "boolean", "list", "other"]

NUMBERS = frozenset({"integer", "number", "word"})

NESTED = frozenset({"list", "other"})


def found_in(value: Any) -> Found:
    """The kind of a value of JSON that is not null."""
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, str):
        return "word" if value in NOT_FINITE else "text"
    if isinstance(value, int):
        return "integer"
    if isinstance(value, float):
        return "number"
    return "list" if isinstance(value, list) and of_numbers(value) else "other"


def unholdable(value: Any) -> str:
    """Why no table of Arrow holds a value of JSON, and what to do; empty if one does."""
    if isinstance(value, dict):
        return next(filter(None, map(unholdable, [*value, *value.values()])), "")
    if isinstance(value, list):
        return next(filter(None, map(unholdable, value)), "")
    if isinstance(value, str) and not is_unicode(value):
        return f"got {short(value)}, half a character, expected valid Unicode. Correct the text."
    if isinstance(value, int) and not -LARGEST <= value < LARGEST:
        return (
            f"got {short(value)}, expected a whole number of 64 bits. Write it as a text, in "
            f"quotes, if it is an id or a label; else with a decimal point."
        )
    return ""

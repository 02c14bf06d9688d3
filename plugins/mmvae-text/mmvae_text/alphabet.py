"""Alphabet: the symbols of texts, and texts as their codes."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, Literal

import numpy as np

from mmvae import Column, UnsupportedValue, is_unicode

Unit = Literal["character", "byte"]
Array = np.ndarray[Any, Any]

UNKNOWN = "\N{REPLACEMENT CHARACTER}"
"""Replacement for a character outside the alphabet, if it is not refused."""


def texts(column: Column) -> list[str | None]:
    """The texts of a column; None for an item without one.

    Raises:
        UnsupportedValue: A value is not a text.
    """
    found: list[str | None] = []
    values = column.values
    if isinstance(values, np.ndarray):
        if values.ndim != 1:
            raise UnsupportedValue(None, f"an array of shape {values.shape}", "one text per item")
        values = values.tolist()
    for row, value in enumerate(values):
        if isinstance(value, float) and math.isnan(value):
            value = None  # how a DataFrame writes null among texts
        if value is not None and not isinstance(value, str):
            raise UnsupportedValue(
                row,
                repr(value),
                "a text, or null where there is none",
                'Of a file, declare the column in [data.types]: column = "text".',
            )
        if value is not None and not is_unicode(value):
            raise UnsupportedValue(
                row, f"{value!r} (half a character)", "text that is valid Unicode"
            )
        found.append(value)
    return found


def units(text: str, unit: Unit) -> Sequence[str] | bytes:
    """The symbols of a text: characters (Unicode code points), or bytes of its UTF-8."""
    return text if unit == "character" else text.encode()


MARKS = {
    "\r": "a carriage return",
    "\N{ZERO WIDTH NO-BREAK SPACE}": "a byte order mark",
    "\0": "a NUL",
    UNKNOWN: "a replacement character, as of bytes that could not be decoded",
}
"""Invisible symbols, or symbols that indicate a mistake, and their names."""


def doubts(column: Column) -> Iterator[tuple[int, str]]:
    """Rows of a column whose texts contain :data:`MARKS`, with these marks."""
    for row, text in enumerate(texts(column)):
        for mark, what in MARKS.items():
            if mark in (text or ""):
                yield (
                    row,
                    f"the text has {what} in it ({mark!a}), which is modelled like any other",
                )


def counted(column: Column, unit: Unit) -> tuple[Counter[str], int]:
    """Characters with their frequencies (none for bytes), and the length of the longest text.

    Args:
        column: The texts, perhaps unread and larger than memory.
        unit: The unit of a text.

    Raises:
        UnsupportedValue: A value is not a text.
    """
    counts: Counter[str] = Counter()
    longest = 0
    for part in column.in_parts(texts):
        found = [text for text in part if text is not None]
        longest = max([longest, *(len(units(text, unit)) for text in found)])
        if unit == "character":
            counts.update("".join(found))
    return counts, longest


class Alphabet:
    """The symbols of texts and their codes: 0 ends a text, 1, 2, … are the symbols.

    Args:
        unit: ``"byte"``: the 256 bytes, and ``characters`` is ignored.
        characters: The characters; if they include :data:`UNKNOWN`, no character is refused.
    """

    def __init__(self, unit: Unit, characters: str = "") -> None:
        self.unit, self.characters = unit, characters
        self._codes = {c: k for k, c in enumerate(characters, start=1)}

    def __len__(self) -> int:
        """Number of symbols, including the end."""
        return 1 + (len(self.characters) if self.unit == "character" else 256)

    def encode(self, text: str, row: int) -> Sequence[int]:
        """Encode a text as codes, without an end.

        Raises:
            UnsupportedValue: A character is not in the alphabet.
        """
        if self.unit == "byte":
            return [byte + 1 for byte in text.encode()]
        unknown = self._codes.get(UNKNOWN, -1)
        codes = [self._codes.get(c, unknown) for c in text]
        if -1 in codes:
            where = codes.index(-1)
            raise UnsupportedValue(
                row,
                f"{text[where]!r} at position {where} of {short(text)}",
                f"one of the {len(self.characters)} characters of the training split",
                f"They are {short(''.join(self.characters))}. Correct the text, or train with "
                f"unknown = 'replace'.",
            )
        return codes

    def decode(self, codes: Sequence[int]) -> str:
        """Decode codes up to the first end.

        Bytes that are not UTF-8 become :data:`UNKNOWN`.
        """
        symbols = codes[: codes.index(0)] if 0 in codes else codes
        if self.unit == "byte":
            return bytes(code - 1 for code in symbols).decode(errors="replace")
        return "".join(self.characters[code - 1] for code in symbols)


def short(text: str, most: int = 40) -> str:
    """Shorten a text for messages."""
    return repr(text if len(text) <= most else f"{text[:most]}…")

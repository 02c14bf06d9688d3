"""JSON in text files: a value on each line, or an array of which few elements are in memory."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

from mmvae.data.size_bounds import Bounds
from mmvae.foundations.errors import DataError

BLANKS = re.compile(r"[ \t\r\n]*")

BLOCK = 1 << 16
"""Characters of an array that are read at a time."""

TOKEN = 16
"""Characters before the end of a text in which an error may be due to its end."""


class RepeatedName(ValueError):
    """A name occurs twice in an object."""


def distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Pairs as an object.

    Raises:
        RepeatedName: Two have one name.
    """
    found = dict(pairs)
    if len(found) < len(pairs):
        name = Counter(name for name, _ in pairs).most_common(1)[0][0]
        raise RepeatedName(
            f"the name {name!r} occurs twice in an object, expected once. Rename one."
        )
    return found


DECODER = json.JSONDecoder(object_pairs_hook=distinct)

UNREAD = (ValueError, RecursionError)
"""What the decoder raises: of numbers of thousands of digits and of deep nesting, too."""


def value_of(text: str, where: str) -> Any:
    """The one value of a text.

    Args:
        text: The text.
        where: File and line, for messages.

    Raises:
        DataError: It is no JSON.
    """
    try:
        return DECODER.decode(text)
    except UNREAD as error:
        raise refusal(error, where) from None


def refusal(error: Exception, where: str) -> DataError:
    """The error of the decoder, with its place."""
    if isinstance(error, RepeatedName):
        return DataError(f"{where}: {error}")
    said = str(error).partition(";")[0]
    if isinstance(error, json.JSONDecodeError):
        said = f"{error.msg} at column {error.colno}"
    if isinstance(error, RecursionError):
        said = "lists or objects are nested too deep"
    return DataError(f"{where}: no JSON ({said}). Expected a JSON object on each line.")


class JsonArray:
    """The elements of an array, each with its number and its text.

    Args:
        blocks: The text in parts.
        path: The file, for messages.
        bounds: How long an element may be.
    """

    def __init__(self, blocks: Iterator[str], path: str, bounds: Bounds) -> None:
        self.blocks, self.path, self.bounds = blocks, path, bounds
        self.text, self.at, self.line = "", 0, 1

    def __iter__(self) -> Iterator[tuple[int, str, Any]]:
        """Iterate over the elements.

        Raises:
            DataError: The text is no array, or an element is too long.
        """
        self._take("[")
        number, follows = 0, self._sign()
        while follows != "]":
            self._sign()
            number += 1
            yield number, *self._value()
            if (follows := self._sign()) != "]":
                self._take(",]")
        self._take("]")
        if sign := self._sign():
            raise DataError(
                f"{self._place(self.at)}: {sign!r} follows the array, expected nothing."
            )

    def _value(self) -> tuple[str, Any]:
        """The text of the next value, and the value."""
        while True:
            try:
                value, end = DECODER.raw_decode(self.text, self.at)
            except json.JSONDecodeError as error:
                self._check(len(self.text) - self.at)
                cut = error.pos > len(self.text) - TOKEN or error.msg.startswith("Unterminated")
                if not (cut and self._more()):
                    raise refusal(error, self._place(error.pos)) from None
            except UNREAD as error:
                raise refusal(error, self._place(self.at)) from None
            else:
                text, self.at = self.text[self.at : end], end
                self._check(len(text))
                return text, value

    def _more(self) -> bool:
        """Read as much again as is waiting, so that nothing is parsed often; False at the end."""
        waiting, parts, size = len(self.text) - self.at, [self.text[self.at :]], 0
        while size <= waiting and (block := next(self.blocks, "")):
            parts.append(block)
            size += len(block)
        self.line += self.text.count("\n", 0, self.at)
        self.text, self.at = "".join(parts), 0
        return size > 0

    def _sign(self) -> str:
        """The next character that is no blank; nothing at the end."""
        while True:
            blanks = BLANKS.match(self.text, self.at)
            assert blanks is not None  # which no text is without
            self.at = blanks.end()
            if self.at < len(self.text) or not self._more():
                return self.text[self.at : self.at + 1]

    def _take(self, signs: str) -> str:
        """Pass over the next character, which has to be one of ``signs``."""
        sign = self._sign()
        if not sign or sign not in signs:
            raise DataError(
                f"{self._place(self.at)}: no JSON (got {sign or 'the end of the file'!r}, "
                f"expected {' or '.join(signs)} of an array). Write the file again."
            )
        self.at += 1
        return sign

    def _check(self, size: int) -> None:
        if size > self.bounds.cell:
            self.bounds.check_cell(size, self._place(self.at))

    def _place(self, at: int) -> str:
        return f"{self.path}, line {self.line + self.text.count(chr(10), 0, at)}"

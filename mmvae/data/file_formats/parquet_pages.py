"""Pages of Parquet: what they take once decoded, by their own headers.

A file's footer may say less of a column than its pages hold. Arrow believes the headers of pages
when it takes memory for them, so these are what has to be looked at.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any, BinaryIO

from mmvae.data.size_bounds import Bounds

HEADER = 1 << 16
"""Bytes that are read at the place of a header; one with long statistics is read again."""

LONGEST = 1 << 24
"""Most bytes of a header, as Arrow has it."""

UNCOMPRESSED, COMPRESSED, PLAIN, SECOND = 2, 3, 5, 8
"""Fields of a header: sizes of the page, and fields of pages of either version."""

VALUES = 1
"""Field with the number of values of a page."""


def decoded_bytes(
    file: BinaryIO, chunk: Any, width: int, repeated: bool, bounds: Bounds, where: str
) -> int:
    """The bytes that the pages of a column take once they are decompressed.

    Args:
        file: The Parquet file.
        chunk: The metadata of a column in a group of rows.
        width: Bytes of one of its values.
        repeated: True for lists, of which a few bytes may mean many values.
        bounds: How much may be decompressed at once.
        where: File and column, for messages.

    Raises:
        DataError: One page has more bytes than may be decompressed at once.
        ValueError, struct.error: A header is damaged.
    """
    total = 0
    for page in headers(file, chunk):
        size = number_in(page, UNCOMPRESSED)
        if repeated:
            about = page.get(PLAIN) or page.get(SECOND) or {}
            size = max(size, number_in(about, VALUES) * width)
        bounds.check_batch(size, f"{where}, a page")
        total += size
    return total


def number_in(table: Any, field: int) -> int:
    """A field of a header that is a size or a count; 0 if it is left out.

    Raises:
        ValueError: It is none.
    """
    found = table.get(field, 0) if isinstance(table, dict) else None
    if type(found) is not int or found < 0:
        raise ValueError(f"field {field} of the header of a page is no size")
    return found


def headers(file: BinaryIO, chunk: Any) -> Iterator[dict[int, Any]]:
    """The headers of a column's pages, in the part of the file that Arrow reads."""
    if not chunk.num_values:  # of which no page is read
        return
    at = chunk.data_page_offset
    if chunk.has_dictionary_page and 0 < (chunk.dictionary_page_offset or 0) < at:
        at = chunk.dictionary_page_offset
    end = at + chunk.total_compressed_size
    while at < end:
        page, size = header(file, at)
        yield page
        at += size + number_in(page, COMPRESSED)


def header(file: BinaryIO, at: int) -> tuple[dict[int, Any], int]:
    """The header of a page at a place in the file, and its length."""
    size = HEADER
    while True:
        file.seek(at)
        reader = Compact(file.read(size))
        try:
            return reader.table(), reader.at
        except IndexError:
            if len(reader.data) < size or size >= LONGEST:
                raise ValueError("a header of a page ends early") from None
            size *= 16


class Compact:
    """Reader of Thrift's compact protocol, in which Parquet describes its pages.

    Args:
        data: The bytes, perhaps more than are needed.
    """

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def table(self, depth: int = 0) -> dict[int, Any]:
        """A struct: number of a field → its value.

        Raises:
            IndexError: The bytes end.
            ValueError: They are none.
        """
        found: dict[int, Any] = {}
        field = 0
        while head := self._byte():
            field = field + (head >> 4) if head >> 4 else self._signed()
            found[field] = self._value(head & 15, depth)
        return found

    def _value(self, kind: int, depth: int) -> Any:
        if kind in (1, 2):
            return kind == 1
        if kind == 3:
            return self._byte()
        if kind in (4, 5, 6):
            return self._signed()
        if kind == 7:
            return struct.unpack("<d", self._bytes(8))[0]
        if kind == 8:
            return self._bytes(self._number())
        if kind == 12 and depth < 8:
            return self.table(depth + 1)
        raise ValueError(f"a header of a page has a value of kind {kind}")

    def _byte(self) -> int:
        self.at += 1
        return self.data[self.at - 1]

    def _bytes(self, size: int) -> bytes:
        self.at += size
        if self.at > len(self.data):
            raise IndexError(self.at)
        return self.data[self.at - size : self.at]

    def _number(self) -> int:
        found = 0
        for shift in range(0, 70, 7):
            byte = self._byte()
            found |= (byte & 127) << shift
            if byte < 128:
                return found
        raise ValueError("a header of a page has a number of more than 64 bits")

    def _signed(self) -> int:
        number = self._number()
        return (number >> 1) ^ -(number & 1)

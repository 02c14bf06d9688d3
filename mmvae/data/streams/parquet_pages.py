"""Pages of Parquet: what they take once decoded, by their own headers.

A file's footer may say less of a column than its pages hold. Arrow believes the headers of pages
when it takes memory for them, so these are what has to be looked at.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any, BinaryIO

from mmvae.data.bounds import Bounds

HEADER = 1 << 16
"""Bytes that are read at the place of a header; one with long statistics is read again."""

LONGEST = 1 << 24
"""Most bytes of a header, as Arrow has it."""

UNCOMPRESSED, COMPRESSED, PLAIN, SECOND = 2, 3, 5, 8
"""Fields of a header: sizes of the page, and what is said of pages of either version."""

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
        size = int(page.get(UNCOMPRESSED, 0))
        if repeated:
            about = page.get(PLAIN) or page.get(SECOND) or {}
            size = max(size, int(about.get(VALUES, 0)) * width)
        bounds.check_batch(size, f"{where}, a page")
        total += size
    return total


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
        if (length := int(page.get(COMPRESSED, 0))) < 0:
            raise ValueError("a page of negative length")
        yield page
        at += size + length


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

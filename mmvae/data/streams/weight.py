"""Weight: bytes that Arrow data take in memory, of messages before they are decompressed."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from mmvae.data.bounds import Bounds

PIECE = 64
"""Rows that are decoded, decompressed and weighed together."""


def pieces(batch: Any) -> Iterator[Any]:
    """A record batch in pieces of few rows, none of which is copied."""
    for start in range(0, batch.num_rows, PIECE):
        yield batch.slice(start, PIECE)


def weigh(piece: Any, path: Path, first: int, bounds: Bounds) -> int:
    """The bytes of few rows, with the values of dictionaries written out.

    Args:
        piece: A record batch.
        path: Its file, for messages.
        first: The number of its first row.
        bounds: How much a cell may hold.

    Raises:
        DataError: A cell holds more.
    """
    found = 0
    for name, column in zip(piece.schema.names, piece.columns, strict=True):
        if not is_shared(column.type) and column.nbytes <= bounds.cell:
            found += column.nbytes
            continue
        sizes = sizes_of(column)
        row = max(range(len(sizes)), key=sizes.__getitem__)
        bounds.check_cell(sizes[row], f"{path}, row {first + row}, column {name!r}")
        found += sum(sizes)
    return found


def is_shared(kind: Any) -> bool:
    """True if several cells of an Arrow type can share bytes."""
    from pyarrow import types

    return types.is_dictionary(kind) or is_view(kind)


def is_view(kind: Any) -> bool:
    """True if cells of an Arrow type are views of texts or bytes."""
    from pyarrow import types

    return bool(types.is_string_view(kind) or types.is_binary_view(kind))


def sizes_of(column: Any) -> list[int]:
    """The bytes of each cell of an Arrow array."""
    from pyarrow import types

    if types.is_dictionary(column.type):
        if not (is_text(column.type.value_type) or is_view(column.type.value_type)):
            return [8] * len(column)
        sizes = lengths(column.dictionary).take(column.indices)
        return [size or 0 for size in sizes.to_pylist()]
    if is_view(column.type):
        return [size or 0 for size in lengths(column).to_pylist()]
    return [column.slice(row, 1).nbytes for row in range(len(column))]


def lengths(column: Any) -> Any:
    """The bytes of each text of an Arrow array, as another one; views are not followed."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if not is_view(column.type) or not len(column):
        return pc.binary_length(column) if is_text(column.type) else pa.array([], pa.int32())
    end = column.offset + len(column)
    told = np.frombuffer(column.buffers()[1], "<i4", 4 * end)[4 * column.offset :: 4]
    return pa.array(told, mask=column.is_null().to_numpy(zero_copy_only=False))


def is_text(kind: Any) -> bool:
    """True if cells of an Arrow type are texts or bytes of any length."""
    from pyarrow import types

    tests = (types.is_string, types.is_large_string, types.is_binary, types.is_large_binary)
    return any(test(kind) for test in tests)


def unpacked(message: Any) -> int:
    """Bytes that the body of an IPC message takes once it is decompressed; 0 if it is plain.

    Decompression trusts the length before each buffer, so it has to be looked at before.

    Raises:
        struct.error: The message is damaged.
    """
    table = FlatTable(message.metadata.to_pybytes())
    kind, header = table.number(1, "<B"), table.table(2)
    if kind == DICTIONARY and header is not None:
        header = header.table(1)
    if kind not in (DICTIONARY, BATCH) or header is None or header.table(3) is None:
        return 0
    body, found = memoryview(message.body), 0
    for offset, length in header.pairs(2):
        (claim,) = struct.unpack_from("<q", body, offset) if length else (0,)
        found += max(claim, 0)  # −1: this buffer is plain
    return found


DICTIONARY, BATCH = 2, 3
"""Types of the header of an IPC message."""


class FlatTable:
    """A table of the format FlatBuffers, in which Arrow describes its messages.

    Args:
        data: The whole buffer.
        at: Where the table is; the buffer's root unless given.
    """

    def __init__(self, data: bytes, at: int | None = None) -> None:
        self.data = data
        self.at = self._read("<I", 0) if at is None else at

    def _read(self, form: str, at: int) -> int:
        (found,) = struct.unpack_from(form, self.data, at)
        return int(found)

    def _field(self, number: int) -> int:
        """Where a field is; 0 if it is left out."""
        known = self.at - self._read("<i", self.at)
        if 4 + 2 * number >= self._read("<H", known):
            return 0
        offset = self._read("<H", known + 4 + 2 * number)
        return self.at + offset if offset else 0

    def number(self, field: int, form: str) -> int:
        """A field that is a number, 0 if it is left out."""
        at = self._field(field)
        return self._read(form, at) if at else 0

    def table(self, field: int) -> FlatTable | None:
        """A field that is a table."""
        at = self._field(field)
        return FlatTable(self.data, at + self._read("<I", at)) if at else None

    def pairs(self, field: int) -> Iterator[tuple[int, int]]:
        """A field that is a list of pairs of numbers of 64 bits."""
        at = self._field(field)
        if not at:
            return
        at += self._read("<I", at)
        for k in range(self._read("<I", at)):
            yield self._read("<q", at + 4 + 16 * k), self._read("<q", at + 12 + 16 * k)

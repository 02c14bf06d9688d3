"""Weight: bytes of Arrow data in memory, also of data that are not decoded yet."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from mmvae.data.file_formats.parquet_pages import decoded_bytes
from mmvae.data.size_bounds import Bounds

Sizes = np.ndarray[Any, np.dtype[np.int64]]

MOST = 1024
"""Rows that are weighed together, and the most that are decoded together."""

UNSURE = 64
"""Rows that are decoded together if one value may be there in many of them."""

WIDEST = 32
"""Bytes of the widest number of Arrow, a decimal."""


def rows_together(file: BinaryIO, metadata: Any, bounds: Bounds, path: Path) -> int:
    """How many rows of a Parquet file to decode together, by what its pages say of themselves.

    Args:
        file: The file.
        metadata: Of the file.
        bounds: How much is decoded together: as much as a cell may hold, by the mean row, and
            never more than 64 cells, if each row held the longest value that the file may hold.
        path: Its path, for messages.

    Raises:
        DataError: One page is larger than what may be decoded together.
        ValueError, struct.error: The file is damaged.
    """
    groups = [metadata.row_group(k) for k in range(metadata.num_row_groups)]
    total, longest = 0.0, 0.0
    for number in range(metadata.num_columns):
        column = metadata.schema.column(number)
        repeated, width = column.max_repetition_level > 0, max(8, column.length)
        where = f"{path}, column {column.path!r}"
        sizes = [0]
        for group in groups:
            part = group.column(number)
            decoded = decoded_bytes(file, part, width, repeated, bounds, where)
            sizes.append(max(decoded, part.total_uncompressed_size))
        total += sum(sizes)
        longest += longest_value(column, max(sizes))
    mean = total / max(1, metadata.num_rows)
    sure = max(UNSURE, bounds.batch // max(1, longest))
    return int(max(1, min(MOST, sure, bounds.cell // max(1, mean))))


def longest_value(column: Any, size: int) -> float:
    """The bytes that a value of a Parquet column may have; infinity for lists.

    A text can be stored once for all rows, but has no more bytes than the whole column.

    Args:
        column: Its schema.
        size: Bytes of the column in the largest group of rows.
    """
    if column.max_repetition_level:
        return math.inf
    if column.physical_type == "BYTE_ARRAY":
        return float(size)
    return float(max(WIDEST, column.length))


def pieces(
    batch: Any, path: Path, first: int, bounds: Bounds, read: Sequence[str] | None = None
) -> Iterator[tuple[Any, int]]:
    """A record batch in pieces, none of which is copied, each with its bytes.

    A piece has one row, or no more bytes than a cell may have.

    Args:
        batch: The record batch.
        path: Its file, for messages.
        first: The number of its first row.
        bounds: How much a cell may hold.
        read: The columns that count; all unless given.

    Raises:
        DataError: A cell holds more.
    """
    weighed = batch if read is None else batch.select(list(read))
    columns = zip(weighed.schema.names, weighed.columns, strict=True)
    shared = {name: sizes_of(column) for name, column in columns if is_shared(column.type)}
    for start in range(0, batch.num_rows, MOST):
        part, counted = batch.slice(start, MOST), weighed.slice(start, MOST)
        known = {name: sizes[start : start + MOST] for name, sizes in shared.items()}
        sizes = weigh(counted, known, path, first + start, bounds)
        for begin, end in cuts(sizes, bounds.cell):
            yield part.slice(begin, end - begin), int(sizes[begin:end].sum())


def cuts(sizes: Sizes, most: int) -> Iterator[tuple[int, int]]:
    """Cut rows (n,) where they sum to more than ``most`` bytes: begin and end of each piece."""
    ends, begin = np.cumsum(sizes), 0
    while begin < len(sizes):
        before = ends[begin - 1] if begin else 0
        end = max(begin + 1, int(np.searchsorted(ends, before + most, "right")))
        yield begin, end
        begin = end


def weigh(part: Any, known: Mapping[str, Sizes], path: Path, first: int, bounds: Bounds) -> Sizes:
    """The bytes of rows (n,), with the values of dictionaries written out.

    Columns of few bytes are not looked at cell by cell: each cell takes its share.

    Args:
        part: A record batch.
        known: Column → the bytes of its cells (n,), of those whose cells can share bytes.
        path: Its file, for messages.
        first: The number of its first row.
        bounds: How much a cell may hold.

    Raises:
        DataError: A cell holds more.
    """
    found = np.zeros(part.num_rows, np.int64)
    for name, column in zip(part.schema.names, part.columns, strict=True):
        if name not in known and column.nbytes <= bounds.cell:
            found += -(-column.nbytes // part.num_rows)
            continue
        sizes = known[name] if name in known else sizes_of(column)
        row = int(sizes.argmax())
        bounds.check_cell(int(sizes[row]), f"{path}, row {first + row}, column {name!r}")
        found += sizes
    return found


def is_shared(kind: Any) -> bool:
    """True if several cells of an Arrow type can share bytes."""
    from pyarrow import types

    return types.is_dictionary(kind) or is_view(kind)


def is_view(kind: Any) -> bool:
    """True for Arrow types of texts or bytes that lie anywhere."""
    from pyarrow import types

    return bool(types.is_string_view(kind) or types.is_binary_view(kind))


def sizes_of(column: Any) -> Sizes:
    """The bytes of each cell of an Arrow array, (n,)."""
    from pyarrow import types

    if types.is_dictionary(column.type):
        if not has_length(column.type.value_type):
            return np.full(len(column), 8)
        return numbers(lengths(column.dictionary).take(column.indices))
    if has_length(column.type):
        return numbers(lengths(column))
    return np.array([column.slice(row, 1).nbytes for row in range(len(column))], np.int64)


def lengths(texts: Any) -> Any:
    """The bytes of each text of an Arrow array, as an array with nulls."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if not is_view(texts.type):
        return pc.binary_length(texts)
    if not len(texts):  # whose buffer may be none at all
        return pa.array([], pa.int32())
    end = texts.offset + len(texts)
    views = np.frombuffer(texts.buffers()[1], np.int32, 4 * end)  # of 16 bytes, the length first
    found = views[4 * texts.offset :: 4]
    return pa.array(found, mask=texts.is_null().to_numpy(zero_copy_only=False))


def numbers(column: Any) -> Sizes:
    """An Arrow array of integers, 0 for null."""
    found: Sizes = column.fill_null(0).to_numpy(zero_copy_only=False).astype(np.int64)
    return found


def has_length(kind: Any) -> bool:
    """True if cells of an Arrow type are texts or bytes of any length."""
    from pyarrow import types

    tests = (types.is_string, types.is_large_string, types.is_binary, types.is_large_binary)
    return is_view(kind) or any(test(kind) for test in tests)


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

"""Text files: UTF-8 as it is read, line by line and in blocks, and rows in chunks."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, TextIO, TypeVar

from mmvae.data.file_formats.json_text import BLOCK
from mmvae.data.file_formats.table_stream import (
    first_line,
)
from mmvae.data.size_bounds import Bounds
from mmvae.foundations.errors import DataError
from mmvae.modalities.column_type import Kind

ENCODING = "utf-8-sig"
"""UTF-8, with or without a byte order mark, as spreadsheets write it."""

SCANNED = 10_000
"""Number of rows examined together to find the kinds of columns."""


def arrow_type(kind: Kind) -> Any:
    """The Arrow type of values of a kind; None if it is inferred from the values."""
    import pyarrow as pa

    types = {
        "text": pa.string(),
        "integer": pa.int64(),
        "number": pa.float64(),
        "boolean": pa.bool_(),
        "null": pa.null(),
    }
    return types.get(kind)


def decoded(path: Path, bounds: Bounds) -> Iterator[str]:
    """The lines of a text file, with their ends.

    Raises:
        DataError: It cannot be read, is no text in UTF-8, or has a line that is too long.
    """
    with opened(path, bounds) as file:
        lines = iter(partial(file.readline, bounds.cell + 1), "")
        for number, line in enumerate(lines, 1):
            if len(line) > bounds.cell:
                bounds.check_cell(len(line), f"{path}, line {number}")
            if "\0" in line:
                raise DataError(
                    f"{path}, line {number}: a NUL character, expected text. Save the file as "
                    f"UTF-8, or give the table as Parquet."
                )
            yield line


def blocks(path: Path, bounds: Bounds) -> Iterator[str]:
    """A text file in parts, whatever its lines.

    Raises:
        DataError: It cannot be read, or is no text in UTF-8.
    """
    with opened(path, bounds) as file:
        yield from iter(partial(file.read, BLOCK), "")


@contextmanager
def opened(path: Path, bounds: Bounds) -> Iterator[TextIO]:
    """A text file in UTF-8.

    Raises:
        DataError: It cannot be read, or is no text in UTF-8.
    """
    try:
        with io.TextIOWrapper(bounds.open(path), newline="", encoding=ENCODING) as file:
            yield file
    except UnicodeDecodeError as error:
        with bounds.open(path) as again:
            lines = iter(partial(again.readline, bounds.cell), b"")
            line = next((k for k, text in enumerate(lines, 1) if not is_utf_8(text)), "?")
        raise DataError(
            f"{path}, line {line}: {error.reason} ({first_line(error)}). Expected text in UTF-8: "
            f"save it so."
        ) from error
    except OSError as error:
        raise DataError(f"{path} cannot be read: {first_line(error)}.") from error


def is_utf_8(text: bytes) -> bool:
    """True if bytes are text in UTF-8."""
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True


Record = TypeVar("Record")


def chunked(
    records: Iterable[tuple[int, int, Record]], most: int, characters: int
) -> Iterator[tuple[list[int], list[Record]]]:
    """Records together, with their lines, until there are ``most`` or they hold so much.

    Args:
        records: Line, length in characters, and record.
        most: How many to take together.
        characters: How many characters to take together, and one record more.
    """
    lines: list[int] = []
    found: list[Record] = []
    characters_read = 0
    for line, size, record in records:
        lines.append(line)
        found.append(record)
        characters_read += size
        if len(found) == most or characters_read > characters:
            yield lines, found
            lines, found, characters_read = [], [], 0
    if found:
        yield lines, found

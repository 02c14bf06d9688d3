"""Tables read and written in chunks of rows."""

from __future__ import annotations

from pathlib import Path

from mmvae.data.streams.arrow import ArrowStream
from mmvae.data.streams.stream import Filled, Rows, TableStream, Types, Writer
from mmvae.data.streams.text import CsvStream, JsonLinesStream
from mmvae.foundations.errors import DataError, UsageError

__all__ = ["STREAMS", "Filled", "Rows", "TableStream", "Types", "Writer", "open_stream"]

STREAMS: dict[str, type[TableStream]] = {
    ".parquet": ArrowStream,
    ".arrow": ArrowStream,
    ".csv": CsvStream,
    ".tsv": CsvStream,
    ".jsonl": JsonLinesStream,
    ".json": JsonLinesStream,
}
"""The stream class of each ending."""


def open_stream(path: Path, types: Types | None = None) -> TableStream:
    """Open a table to stream it.

    Args:
        path: The file.
        types: Known types of columns; the others are inferred from the file.

    Raises:
        UsageError: No stream knows its ending.
        DataError: There is no such file, it is not such a table, or a value is not of the
            requested type.
    """
    if path.suffix.lower() not in STREAMS:
        raise UsageError(
            f"{path}: unknown ending {path.suffix!r}, expected one of {', '.join(STREAMS)}."
        )
    if not path.is_file():
        raise DataError(f"{path}: no such file.")
    return STREAMS[path.suffix.lower()](path, types)

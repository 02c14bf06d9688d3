"""Tables read and written in chunks of rows."""

from __future__ import annotations

from pathlib import Path

from mmvae.data.streams.arrow import ArrowStream
from mmvae.data.streams.stream import Kind, Rows, TableStream, Writer
from mmvae.data.streams.text import CsvStream, JsonLinesStream
from mmvae.errors import DataError, UsageError

__all__ = ["STREAMS", "Kind", "Rows", "TableStream", "Writer", "open_stream"]

STREAMS: dict[str, type[TableStream]] = {
    ".parquet": ArrowStream,
    ".arrow": ArrowStream,
    ".csv": CsvStream,
    ".tsv": CsvStream,
    ".jsonl": JsonLinesStream,
}
"""What reads and writes each ending."""


def open_stream(path: Path) -> TableStream:
    """Open a table to stream it.

    Raises:
        UsageError: No stream knows its ending.
        DataError: There is no such file, or it is no such table.
    """
    if path.suffix not in STREAMS:
        raise UsageError(
            f"{path}: unknown ending {path.suffix!r}, expected one of {', '.join(STREAMS)}."
        )
    if not path.is_file():
        raise DataError(f"{path}: no such file.")
    return STREAMS[path.suffix](path)

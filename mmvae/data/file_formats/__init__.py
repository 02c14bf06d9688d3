"""Tables read and written in chunks of rows."""

from __future__ import annotations

from pathlib import Path

from mmvae.data.file_formats.arrow_table import ArrowStream
from mmvae.data.file_formats.csv_table import CsvStream
from mmvae.data.file_formats.json_table import JsonLinesStream
from mmvae.data.file_formats.table_stream import Filled, Rows, TableStream, Types, Writer
from mmvae.data.size_bounds import Bounds
from mmvae.foundations.errors import UsageError

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


def open_stream(
    path: Path, types: Types | None = None, bounds: Bounds | None = None
) -> TableStream:
    """Open a table to stream it.

    Args:
        path: The file.
        types: How columns are read, if known; the others are inferred.
        bounds: How much the file and its cells may hold.

    Raises:
        UsageError: No stream knows its ending.
        DataError: There is no such file, it is no such table, it holds more than it may, or a
            value is not of the type that is wanted.
    """
    if path.suffix.lower() not in STREAMS:
        raise UsageError(
            f"{path}: unknown ending {path.suffix!r}, expected one of {', '.join(STREAMS)}."
        )
    bounds = bounds or Bounds()
    bounds.check_file(path)
    return STREAMS[path.suffix.lower()](path, types, bounds)

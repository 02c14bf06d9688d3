"""Parquet and Arrow files, opened within the bounds of what they may hold."""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from mmvae.data.file_formats.weight import rows_together, unpacked
from mmvae.data.size_bounds import Bounds

MAGIC, PARQUET = b"ARROW1", b"PAR1"

BUFFER = 1 << 20
"""Bytes of each column that are read from a Parquet file at a time."""


def opened_arrow(path: Path, bounds: Bounds) -> Any:
    """A context that gives schema, number of rows and batches of a Parquet or Arrow file.

    Raises:
        ArrowException, OSError, ValueError: It is damaged.
        DataError: The data to decompress at once are too large.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    @contextmanager
    def parquet() -> Iterator[Any]:
        with bounds.open(path) as opened:
            bounds.check_description(footer_size(opened, PARQUET), path)
            file = pq.ParquetFile(opened, buffer_size=BUFFER)
            rows = rows_together(opened, file.metadata, bounds, path)
            yield file.schema_arrow, file.metadata.num_rows, file.iter_batches(rows)

    @contextmanager
    def arrow() -> Iterator[Any]:
        with bounds.open(path) as opened:  # and no other file of the same name
            bounds.check_description(footer_size(opened, MAGIC), path)
            data = mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ)
        with pa.BufferReader(data) as source:
            start, batches = 0, None
            if source.read(len(MAGIC)) == MAGIC:  # a file is a stream with a table of contents
                source.seek(0)
                start, batches = 8, pa.ipc.open_file(source).num_record_batches
            source.seek(start)
            for number, message in enumerate(pa.ipc.MessageReader.open_stream(source)):
                bounds.check_description(message.metadata.size, path)
                bounds.check_batch(unpacked(message), f"{path}, message {number}")
            source.seek(start)
            stream = pa.ipc.open_stream(source)
            counts = [batch.num_rows for batch in stream]
            if batches is not None and batches != len(counts):
                raise ValueError(f"it holds {len(counts)} batches, its footer lists {batches}")
            source.seek(start)
            yield stream.schema, sum(counts), pa.ipc.open_stream(source)

    return parquet() if path.suffix.lower() == ".parquet" else arrow()


def footer_size(file: BinaryIO, magic: bytes) -> int:
    """Bytes of the table of contents at the end of a file; 0 if the file has none."""
    file.seek(0, os.SEEK_END)
    file.seek(max(0, file.tell() - 4 - len(magic)))
    size, end = file.read(4), file.read()
    file.seek(0)
    return int.from_bytes(size, "little") if end == magic else 0

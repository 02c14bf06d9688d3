"""IDX: the file format of MNIST, read strictly.

Two zero bytes, a code for the type, the number of dimensions, each dimension as a big-endian
32-bit integer, then the values; plain, or compressed with gzip.
"""

from __future__ import annotations

import gzip
import math
import os
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, NoReturn

import numpy as np

from mmvae import DataError
from mmvae.data.size_bounds import Bounds

UNSIGNED_BYTE = 0x08

MOST = 256 << 20
"""Bytes of a file, compressed or not; MNIST's largest has 47 million."""


def read_idx(path: Path, dimensions: int) -> np.ndarray[Any, Any]:
    """Read unsigned bytes with a given number of dimensions.

    Raises:
        DataError: The file cannot be read, is empty, has another type or number of dimensions, or
            more or fewer bytes than its header declares; the message has offset and numbers.
    """
    header = 4 + 4 * dimensions
    with _opened(path) as file:
        data = file.read(header)
        if not data:
            _refuse(path, "an empty file", "an IDX file")
        if len(data) < header:
            _refuse(path, f"ends at byte {len(data)}", f"a header of {header} bytes")
        magic = data[:4]
        wanted = bytes((0, 0, UNSIGNED_BYTE, dimensions))
        if magic[:2] != b"\0\0":
            _refuse(path, f"starts with bytes 0x{magic.hex()} at offset 0", f"0x{wanted.hex()}")
        if magic[2] != UNSIGNED_BYTE:
            _refuse(path, f"type code 0x{magic[2]:02x} at offset 2", "0x08 (unsigned byte)")
        if magic[3] != dimensions:
            _refuse(path, f"{magic[3]} dimensions at offset 3", f"{dimensions}")
        shape = struct.unpack(f">{dimensions}I", data[4:])
        promised = math.prod(shape)
        data = file.read(min(promised, MOST) + 1)
    if len(data) > MOST:
        _refuse(path, f"more than {MOST:,} bytes", "as many at most, decompressed")
    if len(data) != promised:
        what = "ends early at" if len(data) < promised else "continues to"
        expected = f"{header + promised} bytes for shape {shape}"
        _refuse(path, f"{what} byte {header + len(data)}", expected)
    # A copy, since the bytes underneath are read-only.
    return np.frombuffer(data, np.uint8).reshape(shape).copy()


@contextmanager
def _opened(path: Path) -> Iterator[IO[bytes] | gzip.GzipFile]:
    """The file, decompressed as it is read."""
    with Bounds(file=MOST).open(path) as file:
        if path.suffix.lower() != ".gz" or os.fstat(file.fileno()).st_size == 0:
            yield file
            return
        try:
            with gzip.GzipFile(fileobj=file) as unpacked:
                yield unpacked
        except (OSError, EOFError, zlib.error, struct.error) as error:
            _refuse(path, f"broken gzip data ({error})", "a whole gzip file")


def _refuse(path: Path, got: str, expected: str) -> NoReturn:
    raise DataError(f"{path}: {got}, expected {expected}. Fetch the file again.")

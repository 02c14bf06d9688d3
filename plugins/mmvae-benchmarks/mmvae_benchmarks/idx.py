"""IDX: the file format of MNIST, read strictly.

Two zero bytes, a code for the type, the number of dimensions, each dimension as a big-endian
32-bit integer, then the values; plain, or compressed with gzip.
"""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from mmvae import DataError

UNSIGNED_BYTE = 0x08


def read_idx(path: Path, dimensions: int) -> np.ndarray[Any, Any]:
    """Read unsigned bytes with so many dimensions.

    Raises:
        DataError: The file cannot be read, is empty, has another type or number of dimensions, or
            more or fewer bytes than its header promises; the message has offset and figures.
    """
    data = _content(path)
    header = 4 + 4 * dimensions
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
    shape = struct.unpack(f">{dimensions}I", data[4:header])
    promised = header + math.prod(shape)
    if len(data) != promised:
        what = "ends early at" if len(data) < promised else "goes on to"
        _refuse(path, f"{what} byte {len(data)}", f"{promised} bytes for shape {shape}")
    # A copy, since the bytes underneath are read-only.
    return np.frombuffer(data, np.uint8, offset=header).reshape(shape).copy()


def _content(path: Path) -> bytes:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}).") from None
    if not data:
        _refuse(path, "an empty file", "an IDX file")
    if path.suffix.lower() != ".gz":
        return data
    try:
        return gzip.decompress(data)
    except (OSError, EOFError, zlib.error, struct.error) as error:
        _refuse(path, f"broken gzip data ({error})", "a whole gzip file")


def _refuse(path: Path, got: str, expected: str) -> NoReturn:
    raise DataError(f"{path}: {got}, expected {expected}. Fetch the file again.")

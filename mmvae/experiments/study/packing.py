"""Numbers packed into text: float32, little-endian, compressed by zlib, encoded in base64."""

from __future__ import annotations

import base64
import zlib
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]

_DTYPE = np.dtype("<f4")

MOST = 64 << 20
"""Bytes that a text may hold once decompressed: the nats of 16 million items."""


def pack(values: Array) -> str:
    """Pack numbers (n,) into text; :func:`unpack` restores them to float32's seven digits."""
    raw = np.asarray(values).astype(_DTYPE).tobytes()
    return base64.b64encode(zlib.compress(raw, 9)).decode("ascii")


def unpack(text: str) -> Array:
    """Unpack the numbers of :func:`pack`, float64 (n,).

    Raises:
        ValueError: The text is damaged, or holds more than :data:`MOST` bytes.
    """
    packed = zlib.decompressobj()
    try:
        raw = packed.decompress(base64.b64decode(text, validate=True), MOST + 1)
    except zlib.error as error:
        raise ValueError(f"packed numbers are damaged: {error}") from None
    if len(raw) > MOST:
        raise ValueError(f"packed numbers hold more than {MOST:,} bytes")
    if not packed.eof or packed.unused_data:
        raise ValueError("packed numbers are damaged: they end early, or something follows them")
    return np.frombuffer(raw, _DTYPE).astype(np.float64)

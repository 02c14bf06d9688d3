"""Fixtures: small MNIST-shaped files, written in IDX form."""

from __future__ import annotations

import gzip
import struct

import numpy as np
import pytest


def idx_bytes(array, type_code=0x08):
    """The array of unsigned bytes in IDX form."""
    header = struct.pack(f">BBBB{array.ndim}I", 0, 0, type_code, array.ndim, *array.shape)
    return header + array.astype(np.uint8).tobytes()


@pytest.fixture
def to_idx():
    return idx_bytes


@pytest.fixture
def write_mnist(tmp_path):
    """Write four IDX files of random pictures to ``tmp_path``; returns the arrays by stem."""

    def write(train=6, test=3, spelling="-", compressed=False):
        rng = np.random.default_rng(0)
        arrays = {}
        for part, n in (("train", train), ("t10k", test)):
            arrays[f"{part}-images"] = rng.integers(0, 256, (n, 28, 28), dtype=np.uint8)
            arrays[f"{part}-labels"] = rng.integers(0, 10, n, dtype=np.uint8)
        for stem, array in arrays.items():
            data = idx_bytes(array)
            name = f"{stem}{spelling}idx{array.ndim}-ubyte" + (".gz" if compressed else "")
            (tmp_path / name).write_bytes(gzip.compress(data) if compressed else data)
        return arrays

    return write

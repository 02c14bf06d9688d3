"""IDX files are read strictly: each mistake names file, place and figures."""

from __future__ import annotations

import gzip

import numpy as np
import pytest
from mmvae_benchmarks.idx import read_idx

from mmvae import DataError

ARRAY = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)


@pytest.mark.parametrize("compressed", [False, True])
def test_reads_what_was_written(tmp_path, to_idx, compressed):
    path = tmp_path / ("file.gz" if compressed else "file")
    path.write_bytes(gzip.compress(to_idx(ARRAY)) if compressed else to_idx(ARRAY))
    array = read_idx(path, 3)
    np.testing.assert_array_equal(array, ARRAY)
    assert array.dtype == np.uint8
    assert array.flags.writeable


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda d: b"", "an empty file"),
        (lambda d: d[:7], "ends at byte 7, expected a header of 16 bytes"),
        (lambda d: b"\x1f\x8b" + d[2:], "0x1f8b0803 at offset 0, expected 0x00000803"),
        (lambda d: d[:2] + b"\x0d" + d[3:], "type code 0x0d at offset 2"),
        (lambda d: d[:3] + b"\x01" + d[4:], "1 dimensions at offset 3, expected 3"),
        (lambda d: d[:-1], r"ends early at byte 39, expected 40 bytes for shape \(2, 3, 4\)"),
        (lambda d: d + b"\0", "continues to byte 41, expected 40 bytes"),
        (lambda d: d[:4] + b"\xff" * 12 + d[16:], "ends early at byte 40"),
    ],
)
def test_damage_is_named(tmp_path, to_idx, damage, message):
    path = tmp_path / "train-images-idx3-ubyte"
    path.write_bytes(damage(to_idx(ARRAY)))
    with pytest.raises(DataError, match=f"train-images-idx3-ubyte: .*{message}"):
        read_idx(path, 3)


def test_broken_gzip_is_named(tmp_path, to_idx):
    whole = gzip.compress(to_idx(ARRAY))
    path = tmp_path / "file.gz"
    for cut in range(1, len(whole)):
        path.write_bytes(whole[:cut])
        with pytest.raises(DataError, match=r"file\.gz: (broken gzip|ends at byte)"):
            read_idx(path, 3)
    path.write_bytes(to_idx(ARRAY))
    with pytest.raises(DataError, match="broken gzip data"):
        read_idx(path, 3)


def test_any_flipped_bit_of_a_gzip_file_is_refused_or_harmless(tmp_path, to_idx):
    whole = gzip.compress(to_idx(ARRAY))
    path = tmp_path / "file.gz"
    for position in range(len(whole)):
        damaged = bytearray(whole)
        damaged[position] ^= 0x10
        path.write_bytes(damaged)
        try:
            array = read_idx(path, 3)
        except DataError:
            continue
        np.testing.assert_array_equal(array, ARRAY)  # a time stamp, for one


def test_missing_file(tmp_path):
    with pytest.raises(DataError, match="absent: no such file"):
        read_idx(tmp_path / "absent", 1)

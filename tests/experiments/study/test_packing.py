"""Packed numbers come back to seven digits, and damage is noticed."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmvae.experiments.study.packing import MOST, pack, unpack


@given(st.lists(st.floats(-1e6, 1e6, width=32), max_size=50))
def test_float32_comes_back_exactly(values: list[float]) -> None:
    assert unpack(pack(np.array(values))).tolist() == values


def test_float64_comes_back_to_seven_digits() -> None:
    values = -100 * np.random.default_rng(0).random(100)
    np.testing.assert_allclose(unpack(pack(values)), values, rtol=6e-8)


def test_the_text_is_as_documented() -> None:
    raw = zlib.decompress(base64.b64decode(pack(np.array([1.0, -2.0]))))
    assert raw == bytes.fromhex("0000803f000000c0")  # float32, little-endian


@pytest.mark.parametrize("text", ["!", base64.b64encode(b"no zlib").decode(), "€"])
def test_damage_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        unpack(text)


def test_what_is_unpacked_is_bounded() -> None:
    bomb = base64.b64encode(zlib.compress(bytes(MOST + 1), 9)).decode()  # of 64 KiB
    with pytest.raises(ValueError, match=r"more than 67,108,864 bytes"):
        unpack(bomb)


@pytest.mark.parametrize("change", [lambda raw: raw[:-1], lambda raw: raw + b"x"])
def test_what_is_cut_or_longer_is_refused(change: Callable[[bytes], bytes]) -> None:
    raw = base64.b64decode(pack(np.arange(9.0)))
    with pytest.raises(ValueError, match="end early, or something follows"):
        unpack(base64.b64encode(change(raw)).decode())

"""Random numbers per item: a function of (seed, purpose, item), independent of earlier draws.

So a picture can be drawn on demand, alone or among others, and is always the same.
"""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


def uniforms(seed: int, purpose: str, items: Array, count: int) -> Array:
    """Numbers in [0, 1) for each item, float32 (n, count), by SplitMix64 (Steele et al. 2014).

    Args:
        seed: Other seeds give unrelated numbers.
        purpose: Other purposes give unrelated numbers too.
        items: Item numbers, (n,).
        count: Number of values per item.
    """
    key = hashlib.blake2b(repr((seed, purpose)).encode(), digest_size=8).digest()
    start = np.uint64(int.from_bytes(key, "big"))
    places = items.astype(np.uint64)[:, None] * np.uint64(count) + np.arange(
        count, dtype=np.uint64
    )
    state = _mixed(start + _mixed(places + np.uint64(1)))
    return ((state >> np.uint64(40)).astype(np.float32)) / np.float32(1 << 24)


def _mixed(state: Array) -> Array:
    state = state * np.uint64(0x9E3779B97F4A7C15)
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: Array = state ^ (state >> np.uint64(31))
    return mixed

"""Small pictures with which the conformance suite tests the image codecs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from torch import Tensor

from mmvae import Column, Examples


def pictures(
    shape: tuple[int, ...], keys: Mapping[str, Any], support: Tensor | None = None
) -> Examples:
    """Noise of 256 levels, black and white at the edges.

    Args:
        shape: (h, w), or (h, w, 3) for colour.
        keys: Keys of small networks.
        support: Every possible picture, if pixels are black or white.
    """

    def column(n: int, seed: int) -> Column:
        levels = np.random.default_rng(seed).integers(0, 256, (n, *shape), dtype=np.uint8)
        return Column(levels)

    def with_value(value: float) -> Column:
        pixels = np.full((3, *shape), 0.5, np.float32)
        pixels[1].flat[0] = value
        return Column(pixels)

    ends = np.stack([np.zeros(shape), np.full(shape, 255)]).astype(np.uint8)
    return Examples(
        column,
        keys=keys,
        edges={"black and white": Column(ends)},
        invalid={
            "NaN": with_value(np.nan),
            "above 1": with_value(1.01),
            "negative": with_value(-0.01),
            "no picture": Column([np.zeros(shape, np.uint8), None]),
        },
        support=support,
    )

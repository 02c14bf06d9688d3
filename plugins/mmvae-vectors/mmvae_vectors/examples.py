"""Examples: the vectors with which the conformance suite tests the codec."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from mmvae import Column, Examples

NAMES = ("height", "weight")


def column(n: int, seed: int) -> Column:
    """Two numbers near 0 for each item."""
    return Column(np.random.default_rng(seed).normal(size=(n, 2)), names=NAMES)


def examples(keys: Mapping[str, Any] | None = None) -> Examples:
    """Vectors of two cells; a grid covers them, unless tails are too heavy for any."""
    axis = torch.arange(-10, 10, 0.1)
    covered = (keys or {}).get("likelihood") != "student-t"
    return Examples(
        column=column,
        keys={"encoder": (16,), "decoder": (16,)},
        edges={"far out": Column(np.array([[1e9, -1e9], [0.0, 0.0]]))},
        invalid={
            "infinite": Column(np.array([[1.0, 2.0], [1.0, np.inf]])),
            "too large": Column(np.array([[1.0, 2.0], [1e39, 2.0]])),
            "text": Column([[1.0, 2.0], [1.0, "2"]]),
            "short": Column([[1.0, 2.0], [1.0]]),
        },
        grid=(torch.cartesian_prod(axis, axis), 0.1**2) if covered else None,
        texts=("1.8,70",),
    )

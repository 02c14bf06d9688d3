"""Examples: the texts with which the conformance suite tests the codec."""

from __future__ import annotations

import itertools

import numpy as np
import torch

from mmvae import Column, Examples

LETTERS = "ab"
TEXTS = ["".join(letters) for n in range(3) for letters in itertools.product(LETTERS, repeat=n)]
"""All texts of at most two letters."""


def column(n: int, seed: int) -> Column:
    """Some of them, with one that has every letter."""
    chosen = np.random.default_rng(seed).choice(TEXTS, n)
    chosen[:1] = LETTERS
    return Column(chosen.tolist())


def examples() -> Examples:
    """Texts of at most two letters, so few that their probabilities can be added up."""
    codes = [[LETTERS.index(c) + 1 for c in text] + [0] * (2 - len(text)) for text in TEXTS]
    return Examples(
        column=column,
        keys={"encoder": (8,), "kernel": 3, "decoder": (8, 8)},
        edges={"empty and full": Column(["", "bb"])},
        invalid={
            "unknown character": Column(["a", "c"]),
            "too long": Column(["a", "aba"]),
            "number": Column(["a", 1]),
            "bytes": Column(["a", b"a"]),
        },
        support=torch.tensor(codes, dtype=torch.float32),
    )

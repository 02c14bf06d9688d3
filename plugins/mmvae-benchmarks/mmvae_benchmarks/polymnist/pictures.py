"""Digits on textures: the pictures of one modality, drawn when they are read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from mmvae import LazyValues
from mmvae.modalities.column import row_index
from mmvae_benchmarks.polymnist.textures import Family

Array = np.ndarray[Any, Any]

CHUNK = 250
"""Number of pictures drawn at once; more would only take memory."""


def drawn(digits: Array, family: Family, seed: int, items: Array) -> Array:
    """Digits on their textures, which strokes invert: uint8 (n, 28, 28, 3).

    Args:
        digits: Grey levels, uint8 (n, 28, 28).
        family: The family of the textures.
        seed: Governs the textures.
        items: Item numbers, (n,).
    """
    texture = family.pictures(seed, items)
    stroke = (digits / np.float32(255))[..., None]
    picture: Array = 1 - 2 * texture
    picture *= stroke
    picture += texture
    picture *= 255
    picture += 0.5
    return picture.astype(np.uint8)


class DrawnPictures(LazyValues):
    """Some pictures of one modality, uint8 (n, 28, 28, 3), drawn on demand.

    Drawing one takes about as long as reading it from a disk would.

    Args:
        family: The family of the textures.
        digits: The digit pictures of a file, uint8 (k, 28, 28).
        which: The index of each item's digit, (n,).
        items: Item numbers, (n,).
        seed: Governs the textures.
    """

    def __init__(
        self, family: Family, digits: Array, which: Array, items: Array, seed: int
    ) -> None:
        self.family, self.digits, self.which = family, digits, which
        self.items, self.seed = items, seed

    def __len__(self) -> int:
        return len(self.items)

    def take(self, rows: Sequence[int] | Array) -> DrawnPictures:
        """See :meth:`mmvae.LazyValues.take`."""
        index = row_index(rows)
        return DrawnPictures(
            self.family, self.digits, self.which[index], self.items[index], self.seed
        )

    def read(self) -> Array:
        """See :meth:`mmvae.LazyValues.read`."""
        pictures = np.empty((len(self), 28, 28, 3), np.uint8)
        for start in range(0, len(self), CHUNK):
            part = slice(start, start + CHUNK)
            digits = self.digits[self.which[part]]
            pictures[part] = drawn(digits, self.family, self.seed, self.items[part])
        return pictures

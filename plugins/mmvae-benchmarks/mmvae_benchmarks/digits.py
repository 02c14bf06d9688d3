"""Digits: 1,797 handwritten digits of 8×8 pixels that scikit-learn includes; no network."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np
from pydantic import Field, model_validator

from mmvae import Column, DataError, Source, SourceConfig, Split, SplitName

Array = np.ndarray[Any, Any]

NAMES = tuple(str(digit) for digit in range(10))


class DigitsConfig(SourceConfig):
    """Keys of ``[data] source = "digits"``."""

    validation: float = Field(
        0.1,
        ge=0,
        lt=1,
        description="Fraction of each digit for validation.",
    )
    test: float = Field(0.2, ge=0, lt=1, description="Fraction of each digit for test.")
    split_seed: int = Field(
        0,
        ge=0,
        description="Seed of the split, which is stratified by digit.",
    )

    @model_validator(mode="after")
    def _leaves_training_items(self) -> DigitsConfig:
        if self.validation + self.test > 0.9:
            raise ValueError("validation + test must leave at least 0.1 for training")
        return self


class Digits(Source):
    """Columns ``image`` (float32 in [0, 1], 8×8) and ``label`` (0..9)."""

    kind = "digits"
    Config = DigitsConfig

    def splits(self) -> Mapping[SplitName, Split]:
        """Train, validation and test; ids are the items' positions in scikit-learn's order."""
        images, labels = self._items
        split_of = _stratified(
            labels, (self.config.validation, self.config.test), self.config.split_seed
        )
        found: dict[SplitName, Split] = {}
        names: tuple[SplitName, ...] = ("train", "validation", "test")
        for code, name in enumerate(names):
            rows = np.flatnonzero(split_of == code)
            columns = {
                "image": Column(images[rows], origin="digits of scikit-learn"),
                "label": Column(labels[rows], names=NAMES, origin="digits of scikit-learn"),
            }
            if len(rows):
                found[name] = Split(columns, rows)
        return found

    def fingerprint(self) -> str:
        """Hash of the items and of the way they are split."""
        images, labels = self._items
        config = self.config
        digest = hashlib.blake2b(digest_size=16)
        digest.update(images.tobytes() + labels.tobytes())
        digest.update(repr((config.validation, config.test, config.split_seed)).encode())
        return digest.hexdigest()

    @cached_property
    def _items(self) -> tuple[Array, Array]:
        try:
            from sklearn.datasets import load_digits
        except ImportError:
            raise DataError(
                "data.source = 'digits' needs scikit-learn, which carries these pictures: "
                "pip install scikit-learn"
            ) from None
        bundle = load_digits()
        # Pixels count 0..16 strokes of a 32×32 scan.
        return (bundle.images / 16).astype(np.float32), bundle.target.astype(np.int64)


def _stratified(labels: Array, shares: tuple[float, ...], seed: int) -> Array:
    """Part of each item: 0 is the rest, i + 1 has ``shares[i]`` of every class, int64 (n,)."""
    rng = np.random.default_rng(seed)
    part = np.zeros(len(labels), np.int64)
    for label in np.unique(labels):
        rows = rng.permutation(np.flatnonzero(labels == label))
        ends = np.rint(np.cumsum((0.0, *shares)) * len(rows)).astype(int)
        for i in range(len(shares)):
            part[rows[ends[i] : ends[i + 1]]] = i + 1
    return part

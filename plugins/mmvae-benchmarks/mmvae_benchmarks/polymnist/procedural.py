"""The source ``polymnist-procedural``: five pictures of one digit, each on textures of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np
from pydantic import Field

from mmvae import Column, ConfigError, SourceConfig, Split, SplitName
from mmvae_benchmarks.mnist import NAMES, IdxSource
from mmvae_benchmarks.polymnist.chance import uniforms
from mmvae_benchmarks.polymnist.pictures import DrawnPictures
from mmvae_benchmarks.polymnist.textures import FAMILIES

Array = np.ndarray[Any, Any]

VERSION = 1
"""Increased when the same settings give other items than before."""


class ProceduralConfig(SourceConfig):
    """Keys of ``[data] source = "polymnist-procedural"``."""

    root: str | None = Field(
        None, description="Folder of the four IDX files of MNIST, plain or .gz."
    )
    seed: int = Field(
        0,
        ge=0,
        description="Seed that selects the digits and textures of each item.",
    )
    items: int | None = Field(
        None, ge=1, description="Number of training items, from the start. Default: all."
    )
    held_out: int | None = Field(
        None,
        ge=1,
        description="Number of items of validation and of test, from the start. Default: all.",
    )
    gaps: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="Fraction of missing values, pictures and labels alike, in the training and "
        "validation items. Each item keeps at least one modality. The test split is complete.",
    )
    validation_from: int = Field(
        50_000,
        ge=1,
        description="Index, from 0, of the first training image of the validation split.",
    )


class ProceduralPolymnist(IdxSource):
    """Columns ``m0`` to ``m4`` (uint8, 28×28×3) and ``label`` (0..9)."""

    kind = "polymnist-procedural"
    Config = ProceduralConfig

    def splits(self) -> Mapping[SplitName, Split]:
        """Train, validation and test; ids such as ``train/123``, the image that m0 shows."""
        return self._splits

    def fingerprint(self) -> str:
        """Hash of the digits and of all settings that determine the items."""
        keys = self.config.model_dump(exclude={"root", *SourceConfig.model_fields})
        if self.config.held_out is None:
            del keys["held_out"]  # without it the fingerprint is that of versions before this key
        return self.digest((VERSION, sorted(keys.items())))

    @cached_property
    def _splits(self) -> dict[SplitName, Split]:
        (images, labels), (test_images, test_labels) = self.files
        config: ProceduralConfig = self.config
        cut, n = config.validation_from, len(images)
        if cut >= n:
            raise ConfigError(
                f"data.validation_from = {cut}: there are {n} training images, so none is left "
                f"for validation. Choose a smaller number."
            )
        train = self._made("train", images, labels, 0, cut, config.gaps)
        validation = self._made("train", images, labels, cut, n, config.gaps)
        test = self._made("t10k", test_images, test_labels, 0, len(test_images), 0.0)
        return {
            "train": first(train, config.items),
            "validation": first(validation, config.held_out),
            "test": first(test, config.held_out),
        }

    def _made(
        self, file: str, images: Array, labels: Array, start: int, end: int, gaps: float
    ) -> Split:
        """Items of a range of a file's digits: none shows a digit from outside that range."""
        seed, digits = self.config.seed, labels[start:end]
        # Item numbers differ between files and between ranges.
        numbers = np.arange(start, end) + (0 if file == "train" else 1 << 32)
        columns: dict[str, Column] = {}
        for m, family in enumerate(FAMILIES):
            which = start + (partners(seed, m, digits, numbers) if m else np.arange(len(digits)))
            pictures = DrawnPictures(family, images, which, numbers, seed)
            origin = f"MNIST {file} images on {family.name}"
            columns[f"m{m}"] = Column(pictures, origin=origin)
        columns["label"] = Column(digits, names=NAMES, origin=f"MNIST {file} labels")
        if gaps:
            has = kept(seed, numbers, len(columns), gaps)
            columns = {
                name: replace(column, present=has[:, k])
                for k, (name, column) in enumerate(columns.items())
            }
        return Split(columns, [f"{file}/{i}" for i in range(start, end)])


def first(split: Split, most: int | None) -> Split:
    """The first ``most`` items of a split; all for None."""
    return split.take(np.arange(min(len(split), most or len(split))))


def partners(seed: int, modality: int, labels: Array, items: Array) -> Array:
    """For each item another of its class, a permutation within each class, int64 (n,)."""
    chance = uniforms(seed, f"partners {modality}", items, 1)[:, 0]
    found = np.empty(len(labels), np.int64)
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        found[rows] = rows[np.argsort(chance[rows], kind="stable")]
    return found


def kept(seed: int, items: Array, count: int, gaps: float) -> Array:
    """Mask of the ``count`` values that items have, bool (n, count): at least one each.

    Each is missing with probability ``gaps``, independently. An item that would have none keeps
    the one with the largest random number.
    """
    chance = uniforms(seed, "gaps", items, count)
    has: Array = (chance >= gaps) | (chance == chance.max(1, keepdims=True))
    return has

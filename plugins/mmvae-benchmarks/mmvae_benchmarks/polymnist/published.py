"""The source ``polymnist``: the published pictures, in their published folders."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field

from mmvae import Column, ConfigError, DataError, Source, SourceConfig, Split, SplitName
from mmvae.data.fingerprints import contents
from mmvae.data.item_folder import read_folder
from mmvae.data.paths import found_folder
from mmvae.data.splits import split_items
from mmvae_benchmarks.mnist import NAMES

Array = np.ndarray[Any, Any]

NAME = re.compile(r"\d+\.(\d)")
"""An item's name: its index and its label."""

LAYOUT = (
    "Expected train/m0 to train/m4 and test/m0 to test/m4, each with files INDEX.LABEL.png, as "
    "the authors of PolyMNIST publish them; or make pictures of the same kind from MNIST: "
    "data.source = 'polymnist-procedural'."
)


class PolymnistConfig(SourceConfig):
    """Keys of ``[data] source = "polymnist"``."""

    root: str | None = Field(None, description="Folder with the sub-folders train and test.")
    validation: float = Field(
        0.1, ge=0, lt=1, description="Fraction of the training items for validation."
    )
    split_seed: int = Field(0, ge=0, description="Seed of the split.")


class Polymnist(Source):
    """Columns named as the folders are, ``m0`` to ``m4``, and ``label`` (0..9)."""

    kind = "polymnist"
    Config = PolymnistConfig

    def splits(self) -> Mapping[SplitName, Split]:
        """Train, validation and test; an item lacks the pictures whose files do not exist."""
        return self._splits

    def fingerprint(self) -> str:
        """Hash of the names and contents of all files and of the way they are split."""
        digest = hashlib.blake2b(digest_size=16)
        for name, split in self.splits().items():
            for m, column in split.columns.items():
                digest.update(f"{name}/{m}\n".encode())
                files = getattr(column.values, "files", ())
                there = [file for file in files if file is not None]
                known = dict(zip(there, contents(there), strict=True))
                for file in files:
                    marks = "" if file is None else f"{file.name}/{known[file]}"
                    digest.update(f"{marks}\n".encode())
        return digest.hexdigest()

    @cached_property
    def _splits(self) -> dict[SplitName, Split]:
        config: PolymnistConfig = self.config
        if config.root is None:
            raise ConfigError(f"data.root is missing: source 'polymnist' reads files. {LAYOUT}")
        root = found_folder(config.root, "data.root", LAYOUT)
        train, test = (self._read(root, name) for name in ("train", "test"))
        if train.columns.keys() != test.columns.keys():
            raise DataError(
                f"{root}: train has {', '.join(train.columns)}, but test has "
                f"{', '.join(test.columns)}. {LAYOUT}"
            )
        return {**split_items(train, config.validation, 0, config.split_seed), "test": test}

    def _read(self, root: Path, name: str) -> Split:
        """Read one folder of folders; the names of items give their labels."""
        folder = root / name
        if not folder.is_dir():
            raise DataError(f"{folder}: no such folder. {LAYOUT}")
        found = read_folder(folder)
        labels, seen = np.empty(len(found), np.int64), set()
        for row, item in enumerate(found.ids):
            match = NAME.fullmatch(item)
            index = item.partition(".")[0]
            if match is None or index in seen:
                other = "its index with another label" if match else "a name of another form"
                raise DataError(f"{folder}: item {item!r} has {other}. {LAYOUT}")
            labels[row] = int(match[1])
            seen.add(index)
        columns = dict(found.columns)
        columns["label"] = Column(labels, names=NAMES, origin=f"{folder}, names of files")
        return replace(found, columns=columns, ids=[f"{name}/{item}" for item in found.ids])

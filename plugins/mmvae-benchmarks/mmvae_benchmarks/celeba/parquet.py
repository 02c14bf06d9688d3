"""CelebA in Parquet: the Hub's ``flwrlabs/celeba``, or files of the same columns on disk.

They must have a column ``image`` of encoded pictures and one column of booleans for each of the
forty attributes; other columns (``celeb_id``) are ignored. The splits are called
``train``, ``valid`` or ``validation``, and ``test``.
"""

from __future__ import annotations

import hashlib
import threading
from typing import Any

import numpy as np

from mmvae import DataError, Split, nearest
from mmvae.data.table import load_tables
from mmvae_benchmarks.celeba.listing import ATTRIBUTES
from mmvae_benchmarks.celeba.pictures import Pictures, Unreadable

Array = np.ndarray[Any, Any]

CODES = {"train": 0, "valid": 1, "validation": 1, "test": 2}
IMAGE = "image"


class TablePictures(Pictures):
    """The pictures of all splits, one after the other; names such as ``train/17``.

    Args:
        tables: Split → its ``datasets.Dataset``.
        origin: The origin of the tables.
    """

    def __init__(self, tables: dict[str, Any], origin: str) -> None:
        self.origin = origin
        self.names = [
            f"{name}/{row}" for name, table in tables.items() for row in range(len(table))
        ]
        self._tables = [table.select_columns([IMAGE]) for table in tables.values()]
        self._ends = np.cumsum([len(table) for table in self._tables])
        self._lock = threading.Lock()

    def read(self, row: int) -> bytes:
        """See :meth:`Pictures.read`."""
        part = int(np.searchsorted(self._ends, row, side="right"))
        start = int(self._ends[part]) - len(self._tables[part])
        with self._lock:
            picture = self._tables[part][row - start][IMAGE]
        encoded = picture.get("bytes") if isinstance(picture, dict) else None
        if not encoded:
            raise Unreadable("no bytes of a picture")
        return bytes(encoded)

    def fingerprint(self) -> str:
        """See :meth:`Pictures.fingerprint`; ``datasets`` knows files by path and time."""
        marks = "/".join(f"{table._fingerprint}:{len(table)}" for table in self._tables)
        return hashlib.blake2b(marks.encode(), digest_size=16).hexdigest()


def read_tables(path: str) -> tuple[Pictures, Array, Array]:
    """Pictures, attributes int8 (n, 40), and the split 0, 1 or 2 of each, int8 (n,).

    Args:
        path: A Parquet file, a folder of them, or a Hub id.

    Raises:
        DataError: They cannot be read, or have other columns or splits.
    """
    splits = load_tables(path)
    for name, split in splits.items():
        if name not in CODES:
            raise DataError(f"{path}: unknown split {name!r}, expected {', '.join(CODES)}.")
        _check_columns(f"{path}, split {name!r}", split)
    tables = {name: split.columns[IMAGE].values.dataset for name, split in splits.items()}
    attributes = [_attributes(f"{path}, split {name!r}", table) for name, table in tables.items()]
    codes = [np.full(len(table), CODES[name], np.int8) for name, table in tables.items()]
    return TablePictures(tables, path), np.concatenate(attributes), np.concatenate(codes)


def _check_columns(where: str, split: Split) -> None:
    for name in (IMAGE, *ATTRIBUTES):
        if name not in split.columns:
            raise DataError(
                f"{where}: there is no column {name!r}.{nearest(name, split.columns)} Expected "
                f"'image' and the forty attributes of CelebA, as in the Hub's flwrlabs/celeba."
            )


def _attributes(where: str, table: Any) -> Array:
    """±1 from booleans or from ±1."""
    columns = []
    numbers = table.select_columns(list(ATTRIBUTES)).with_format("numpy")
    for name in ATTRIBUTES:
        values = np.asarray(numbers[name][:])
        if values.dtype == bool:
            values = np.where(values, 1, -1)
        bad = np.flatnonzero((values != 1) & (values != -1))
        if len(bad):
            raise DataError(
                f"{where}, row {bad[0]}: got {values[bad[0]]!r} for {name!r}, expected true or "
                f"false, or 1 or -1. Correct the table."
            )
        columns.append(values.astype(np.int8))
    return np.stack(columns, axis=1)

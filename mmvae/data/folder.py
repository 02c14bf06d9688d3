"""Items in a folder of files: a sub-folder for each modality, matched by name, and a table."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field

from mmvae.codec import Column, LazyValues, row_index
from mmvae.data.columns import as_array
from mmvae.data.splits import CutConfig, cut, refuse_shared_groups
from mmvae.data.table import READERS, load_tables
from mmvae.errors import DataError, nearest
from mmvae.source import SPLITS, Source, Split, SplitName

Array = np.ndarray[Any, Any]
Files = Mapping[str, Path]
"""Name of an item → its file."""


class FolderConfig(CutConfig):
    """``[data]`` of a folder of files."""

    path: str = Field(
        description="The folder: in it a sub-folder for each modality, or train, validation and "
        "test, each with such sub-folders."
    )
    id: str = Field(
        "id",
        description="Column of the table beside the sub-folders, if there is one, that holds the "
        "names of the items: those of their files, with or without the ending.",
    )
    validation: float = Field(
        0.1, ge=0, lt=1, description="Share for validation, unless there is a folder of that name."
    )
    test: float = Field(
        0.1, ge=0, lt=1, description="Share for test, unless there is a folder of that name."
    )


class FileColumn(LazyValues):
    """The files of one modality, read when they are needed.

    ``.txt`` gives a text, ``.npy`` an array, any other file its bytes, which codecs of pictures
    and sounds decode. An item without a file gives None.

    Args:
        files: The file of each item.
    """

    def __init__(self, files: Sequence[Path | None]) -> None:
        self.files = files

    def __len__(self) -> int:
        return len(self.files)

    def take(self, rows: Sequence[int] | Array) -> FileColumn:
        """See :meth:`mmvae.codec.LazyValues.take`."""
        return FileColumn([self.files[int(i)] for i in row_index(rows)])

    def read(self) -> Any:
        """See :meth:`mmvae.codec.LazyValues.read`.

        Raises:
            DataError: A file cannot be read.
        """
        return as_array([None if file is None else content(file) for file in self.files])


def content(file: Path) -> Any:
    """What a file holds: a text, an array or bytes.

    Raises:
        DataError: It cannot be read.
    """
    try:
        if file.suffix == ".npy":
            return np.load(file, allow_pickle=False)
        data = file.read_bytes()
        return data.decode().removesuffix("\n") if file.suffix == ".txt" else data
    except (OSError, ValueError) as error:  # a decoding error is a ValueError
        raise DataError(f"{file}: cannot be read ({error}). Replace the file.") from None


class FolderSource(Source):
    """Files in folders: ``DIR/photo/7.png`` and ``DIR/report/7.txt`` are one item, called 7.

    Args:
        config: Its ``[data]`` section.
    """

    kind = "folder"
    Config = FolderConfig

    def splits(self) -> Mapping[SplitName, Split]:
        """See :meth:`mmvae.Source.splits`."""
        return self._splits

    @cached_property
    def _splits(self) -> dict[SplitName, Split]:
        config: FolderConfig = self.config
        root = Path(config.path).expanduser()
        if not root.is_dir():
            raise DataError(f"data.path = {config.path!r}: no such folder.")
        named = {name: root / name for name in SPLITS if (root / name).is_dir()}
        if "train" not in named:
            return cut(read_folder(root, config.id), config.validation, config.test, config)
        splits = {name: read_folder(folder, config.id) for name, folder in named.items()}
        shares = [
            0.0 if name in named else share
            for name, share in (("validation", config.validation), ("test", config.test))
        ]
        splits |= cut(splits["train"], shares[0], shares[1], config)
        if config.group is not None:
            refuse_shared_groups(splits, config.group)
        for name, split in splits.items():
            if split.columns.keys() != splits["train"].columns.keys():
                raise DataError(
                    f"{named[name]} has {', '.join(split.columns)}, but {named['train']} has "
                    f"{', '.join(splits['train'].columns)}: expected the same sub-folders."
                )
        return {name: splits[name] for name in SPLITS if name in splits}

    def fingerprint(self) -> str:
        """A hash of all files' names, sizes and times of change, and of their splits."""
        digest = hashlib.sha256()
        for name, split in self.splits().items():
            digest.update("\n".join([name, *map(str, split.ids)]).encode())
        root = Path(self.config.path).expanduser()
        for file in sorted(path for path in root.rglob("*") if path.is_file()):
            stat = file.stat()
            text = f"{file.relative_to(root)}/{stat.st_size}/{stat.st_mtime_ns}\n"
            digest.update(text.encode())
        return digest.hexdigest()[:16]


def read_folder(folder: Path, key: str = "id") -> Split:
    """The items of one folder: those that have a file in a sub-folder, or a row in its table.

    Args:
        folder: With sub-folders, and at most one table.
        key: Column of the table that holds the names of items.

    Returns:
        A column for each sub-folder and each other column of the table; ids are the names, in the
        order of the numbers in them.

    Raises:
        DataError: There is nothing, or two files or rows of one name.
    """
    files = {place.name: files_of(place) for place in sub_folders(folder)}
    rows, table = read_rows(folder, key)
    clash = sorted(files.keys() & (table.columns.keys() if table else set()))
    if clash:
        raise DataError(
            f"{folder}: {clash[0]!r} is both a sub-folder and a column of the table. Rename one."
        )
    names = sorted(set().union(rows, *files.values()), key=natural)
    if not names:
        raise DataError(
            f"{folder}: no items. Expected sub-folders with a file for each item, such as "
            f"image/1.png, or a table with the column {key!r}."
        )
    columns = {
        name: Column(
            FileColumn([found.get(item) for item in names]),
            origin=str(folder / name),
            present=all_or([item in found for item in names]),
        )
        for name, found in files.items()
    }
    if table is not None:
        index = np.array([rows.get(item, 0) for item in names], np.int64)
        listed = np.array([item in rows for item in names])
        for name, column in table.columns.items():
            if name != key:
                there = column.take(index)
                present = listed if there.present is None else listed & there.present
                columns[name] = replace(there, present=all_or(present))
    return Split(columns, names)


def all_or(has: Sequence[bool] | Array) -> Array | None:
    """Which items have a modality, as columns say it: None if all have."""
    present = np.asarray(has, bool)
    return None if present.all() else present


def sub_folders(folder: Path) -> list[Path]:
    """The sub-folders of a folder that are not hidden, by name."""
    return sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))


def files_of(folder: Path) -> dict[str, Path]:
    """Name without the ending → file, for the files of a folder that are not hidden.

    Raises:
        DataError: Two files have the same name but for the ending, or there are sub-folders.
    """
    found: dict[str, Path] = {}
    for file in sorted(folder.iterdir()):
        if file.name.startswith("."):
            continue
        if file.is_dir():
            raise DataError(
                f"{file}: a folder in the folder of one modality; expected files alone. Move its "
                f"files up, or name train, validation or test folders at the top."
            )
        if file.stem in found:
            raise DataError(
                f"{file} and {found[file.stem].name} belong to one item, {file.stem!r}; expected "
                f"one file. Remove or rename one."
            )
        found[file.stem] = file
    return found


def read_rows(folder: Path, key: str) -> tuple[dict[str, int], Split | None]:
    """Name of an item → its row of the table in a folder, and the table; nothing without one.

    Raises:
        DataError: Two tables, a table without the column ``key``, an item without or with two
            rows.
    """
    tables = sorted(p for p in folder.iterdir() if p.is_file() and p.suffix in READERS)
    if not tables:
        return {}, None
    if len(tables) > 1:
        raise DataError(
            f"{folder}: two tables, {tables[0].name} and {tables[1].name}; expected one. Join "
            f"them, or move one away."
        )
    table = load_tables(str(tables[0]))["train"]
    if key not in table.columns:
        raise DataError(
            f"{tables[0]}: no column {key!r} that says which files each row belongs to; there are "
            f"{', '.join(table.columns)}.{nearest(key, table.columns)} Name it with data.id."
        )
    rows: dict[str, int] = {}
    values = table.columns[key].read().values
    for row, value in enumerate(values.tolist() if isinstance(values, np.ndarray) else values):
        name = Path(str(value)).name
        name = os.path.splitext(name)[0] if isinstance(value, str) else name
        if value is None or name in rows:
            what = "no value" if value is None else f"{name!r}, as row {rows[name]} does"
            raise DataError(
                f"{tables[0]}: row {row} has {what} in the column {key!r}; expected each item's "
                f"name once."
            )
        rows[name] = row
    return rows, table


def natural(name: str) -> list[tuple[bool, int, str]]:
    """A key that sorts ``2`` before ``10``."""
    parts = re.split(r"(\d+)", name)
    return [(part.isdigit(), int(part) if part.isdigit() else 0, part) for part in parts]

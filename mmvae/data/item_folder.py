"""A folder of files, one for each item and modality."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from mmvae.data.columns import table_split
from mmvae.data.folder_files import FILES, FileColumn, entries, files_of, visible
from mmvae.data.item_names import natural, refuse_near_misses, row_name, some
from mmvae.data.paths import (
    is_litter,
    is_table,
    refuse_unreadable,
)
from mmvae.data.size_bounds import Bounds
from mmvae.data.source import Split
from mmvae.data.table_reader import read_table
from mmvae.foundations.errors import DataError, nearest
from mmvae.modalities.column import Column
from mmvae.modalities.column_type import NULL_WORDS, ColumnType

Array = np.ndarray[Any, Any]


class ItemFolder:
    """A folder of items: a sub-folder for each modality, and at most one table.

    Args:
        place: The folder.
        key: Column of the table that holds the names of items.
        types: How its other columns are read, as far as it is declared.
        bounds: How much files and cells may hold.

    Raises:
        DataError: Two files or rows of one name, several tables, folders in sub-folders, files
            that cannot be read.
    """

    def __init__(
        self,
        place: Path,
        key: str = "id",
        types: Mapping[str, ColumnType] | None = None,
        bounds: Bounds = FILES,
    ) -> None:
        self.place, self.key, self.types, self.bounds = place, key, types or {}, bounds
        self.left_out = [p for p in entries(place) if is_litter(p)]
        self.files: dict[str, dict[str, Path]] = {}
        tables = []
        for path in visible(place):
            if path.is_dir():
                self.files[path.name] = files_of(path)
                self.left_out += [p for p in entries(path) if is_litter(p)]
            elif is_table(path):
                tables.append(path)
            else:
                refuse_unreadable(path)
                self.left_out.append(path)
        if len(tables) > 1:
            raise DataError(
                f"{place}: two tables, {tables[0].name} and {tables[1].name}; expected one. Join "
                f"them, or move one away."
            )
        self.table = tables[0] if tables else None

    @cached_property
    def _rows(self) -> Rows | None:
        """The table with the name of each row's item; None without one."""
        if self.table is None:
            return None
        return named_rows(self.table, self.key, self.files, self.types, self.bounds)

    def types_read(self) -> Mapping[str, ColumnType]:
        """The types as which the columns of its table were read."""
        return {} if self._rows is None else self._rows.types

    @cached_property
    def _sides(self) -> dict[str, set[str]]:
        """Places of items, the sub-folders and the table → the names in each."""
        sides = {str(self.place / name): set(found) for name, found in self.files.items()}
        if self._rows is not None:
            sides[str(self.table)] = set(self._rows.index)
        return sides

    def split(self) -> Split:
        """The items: those that have a file in a sub-folder, or a row in the table.

        Returns:
            A column for each sub-folder and each other column of the table; ids are the names, in
            the order of the numbers in them.

        Raises:
            DataError: The folder is empty, no files or rows match, or a name has two meanings.
        """
        rows = self._rows
        if rows is not None and (clash := sorted(self.files.keys() & rows.table.columns.keys())):
            raise DataError(
                f"{self.place}: {clash[0]!r} is both a sub-folder and a column of the table. "
                f"Rename one."
            )
        names = sorted(set().union(*self._sides.values()), key=natural)
        if not names:
            raise DataError(
                f"{self.place}: no items. Expected sub-folders with a file for each item, such as "
                f"image/1.png, or a table with the column {self.key!r}."
            )
        refuse_near_misses(self._sides)
        if rows is not None and self._with_files and not self._with_files & set(rows.index):
            raise DataError(
                f"{self.table}: none of its {len(rows.index)} rows names a file in the column "
                f"{self.key!r}: it has {some(rows.index)}, and the files are called "
                f"{some(self._with_files)}. Expected the names of the files, with or without the "
                f"ending."
            )
        columns = {
            name: Column(
                FileColumn([found.get(item) for item in names], self.bounds),
                origin=str(self.place / name),
                present=all_or([item in found for item in names]),
            )
            for name, found in self.files.items()
        }
        return Split(columns if rows is None else columns | rows.columns(names), names)

    @property
    def _with_files(self) -> set[str]:
        """The items that have files."""
        return set().union(*self.files.values())

    def used(self) -> list[Path]:
        """All files from which items are read."""
        files = [file for found in self.files.values() for _, file in sorted(found.items())]
        return files if self.table is None else [*files, self.table]

    def remarks(self) -> list[str]:
        """Numbers of files and rows, and what was left out."""
        counts = [f"{len(found)} files in {name}" for name, found in self.files.items()]
        if self._rows is not None:
            assert self.table is not None
            counts.append(f"{len(self._rows.index)} rows in {self.table.name}")
        found = [f"{self.place}: {', '.join(counts)}"]
        if self.left_out:
            found.append(f"{self.place}: left out {some(path.name for path in self.left_out)}")
        return found

    def doubts(self) -> list[str]:
        """Rows without files, files without a row, and remarks on the reading of the table."""
        if self._rows is None:
            return []
        rows, found = set(self._rows.index), list(self._rows.remarks)
        if not self.files:
            return found
        if alone := rows - self._with_files:
            found.append(f"{self.table}: {len(alone)} of {len(rows)} rows match no file: ")
            found[-1] += some(alone)
        if alone := self._with_files - rows:
            found.append(
                f"{self.table} has no row for {len(alone)} of {len(self._with_files)} items that "
                f"have files: {some(alone)}"
            )
        return found


@dataclass(frozen=True)
class Rows:
    """The rows of a table, by the names of the items they belong to.

    Attributes:
        table: The other columns.
        index: Name of an item → its row.
        types: The types as which its columns were read.
        remarks: Remarks on the reading, for people.
    """

    table: Split
    index: Mapping[str, int]
    types: Mapping[str, ColumnType]
    remarks: tuple[str, ...]

    def columns(self, names: Sequence[str]) -> dict[str, Column]:
        """The table's columns for these items, with missing values for items without a row."""
        rows = np.array([self.index.get(item, 0) for item in names], np.int64)
        listed = np.array([item in self.index for item in names])
        columns = {}
        for name, column in self.table.columns.items():
            there = column.take(rows)
            present = listed if there.present is None else listed & there.present
            columns[name] = replace(there, present=all_or(present))
        return columns


def read_folder(folder: Path, key: str = "id") -> Split:
    """The items of one folder; see :meth:`ItemFolder.split`.

    Raises:
        DataError: As :class:`ItemFolder`.
    """
    return ItemFolder(folder, key).split()


def all_or(has: Sequence[bool] | Array) -> Array | None:
    """Mask of the items that have a modality, as columns need it: None if all have."""
    present = np.asarray(has, bool)
    return None if present.all() else present


def named_rows(
    path: Path,
    key: str,
    files: Mapping[str, Mapping[str, Path]],
    types: Mapping[str, ColumnType],
    bounds: Bounds,
) -> Rows:
    """The rows of a table, by the names of their items.

    Args:
        path: The table.
        key: Column that holds the names.
        files: Sub-folder → name of an item → its file.
        types: How other columns are read, as far as it is declared.
        bounds: How much the table and its cells may hold.

    Raises:
        DataError: There is no such column, or an item without a name or with two rows.
    """
    as_written = ColumnType("text", NULL_WORDS)
    read = read_table([path], {**types, key: as_written}, bounds=bounds)
    table = table_split(read.table, str(path), read.types, read.refused)
    if key not in table.columns:
        raise DataError(
            f"{path}: no column {key!r} that says which files each row belongs to; there are "
            f"{', '.join(table.columns)}.{nearest(key, table.columns)} Name it with data.id."
        )
    by_file = {file.name: name for found in files.values() for name, file in found.items()}
    items = set().union(*files.values())
    rows: dict[str, int] = {}
    column = table.columns[key]
    lacking = set() if column.present is None else set(np.flatnonzero(~column.present))
    values = column.read().values
    for row, value in enumerate(values.tolist() if isinstance(values, np.ndarray) else values):
        name = "" if value is None or row in lacking else row_name(value, by_file, items)
        if not name or name in rows:
            what = f"{name!r}, as row {rows[name]} does" if name else "no name"
            raise DataError(
                f"{path}: row {row} has {what} in the column {key!r}; expected each item's name "
                f"once."
            )
        rows[name] = row
    others = {name: column for name, column in table.columns.items() if name != key}
    return Rows(Split(others, table.ids), rows, read.types, read.remarks)

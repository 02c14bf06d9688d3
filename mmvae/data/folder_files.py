"""The files of a folder as values, and by the items that their names give."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from tokenize import TokenError
from typing import Any, BinaryIO

import numpy as np

from mmvae.data.columns import as_array
from mmvae.data.file_formats.table_stream import DAMAGED, first_line
from mmvae.data.item_names import name_of
from mmvae.data.paths import (
    is_litter,
    refuse_unreadable,
)
from mmvae.data.size_bounds import GIB, Bounds
from mmvae.foundations.errors import DataError
from mmvae.modalities.column import LazyValues, row_index

FILES = Bounds(file=GIB // 4)
"""How much a file of an item may hold, which is read whole."""


class FileColumn(LazyValues):
    """The files of one modality, read on demand.

    ``.txt`` gives a text, ``.npy`` an array, any other file its bytes, which codecs of pictures
    and sounds decode. An item without a file gives None.

    Args:
        files: The file of each item.
        bounds: How much a file may hold.
    """

    def __init__(self, files: Sequence[Path | None], bounds: Bounds = FILES) -> None:
        self.files, self.bounds = files, bounds

    def __len__(self) -> int:
        return len(self.files)

    def take(self, rows: Sequence[int] | np.ndarray[Any, Any]) -> FileColumn:
        """See :meth:`mmvae.modalities.column.LazyValues.take`."""
        return FileColumn([self.files[int(i)] for i in row_index(rows)], self.bounds)

    def read(self) -> Any:
        """See :meth:`mmvae.modalities.column.LazyValues.read`.

        Raises:
            DataError: A file cannot be read.
        """
        read = [None if file is None else content(file, self.bounds) for file in self.files]
        return as_array(read)


def content(file: Path, bounds: Bounds = FILES) -> Any:
    """The content of a file: a text, an array or bytes.

    A text is UTF-8, with or without a byte order mark; its final line end is removed.

    Raises:
        DataError: It cannot be read, or holds more than it may.
    """
    try:
        with bounds.open(file) as opened:
            if file.suffix.lower() == ".npy":
                return array(opened)
            data = opened.read()
        if file.suffix.lower() != ".txt":
            return data
        text = data.decode("utf-8-sig")
        end = next((end for end in ("\r\n", "\n", "\r") if text.endswith(end)), "")
        return text.removesuffix(end)
    except UnicodeDecodeError as error:
        raise DataError(f"{file}: cannot be read ({error}). Save the text as UTF-8.") from None
    except UNREADABLE as error:
        raise DataError(f"{file}: cannot be read ({first_line(error)}). Replace it.") from None


def array(file: BinaryIO) -> np.ndarray[Any, Any]:
    """The array of an ``.npy`` file.

    Raises:
        ValueError: It is damaged, or its elements have no size, so that it could claim any number
            of them.
    """
    header = HEADERS.get(np.lib.format.read_magic(file))
    if header is None:
        raise ValueError("a version of .npy that is not known")
    dtype = header(file)[2]
    if dtype.itemsize == 0:
        raise ValueError(f"elements of type {dtype}, expected numbers")
    file.seek(0)
    found: np.ndarray[Any, Any] = np.lib.format.read_array(file, allow_pickle=False)
    return found


HEADERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}
"""Version of ``.npy`` → the function that reads its header; the third is for names of fields."""

UNREADABLE = (*DAMAGED, MemoryError, SyntaxError, TokenError)
"""What NumPy raises of a damaged file: its header is a text in Python, and may claim any size."""


def visible(folder: Path) -> list[Path]:
    """The entries of a folder, by name, without litter."""
    return [path for path in entries(folder) if not is_litter(path)]


def entries(folder: Path) -> list[Path]:
    """All entries of a folder, by name.

    Raises:
        DataError: It cannot be read.
    """
    try:
        return sorted(folder.iterdir())
    except OSError as error:
        raise DataError(f"{folder}: cannot be read ({error.strerror}).") from error


def files_of(folder: Path) -> dict[str, Path]:
    """Name of an item → its file, for the files of a folder.

    Raises:
        DataError: Two files have the same name except for the ending, or there are sub-folders, or
            files that cannot be read.
    """
    found: dict[str, Path] = {}
    for file in visible(folder):
        if file.is_dir():
            raise DataError(
                f"{file}: a folder in the folder of one modality; expected files alone. Move its "
                f"files up, or name train, validation or test folders at the top."
            )
        refuse_unreadable(file)
        name = name_of(file)
        if name in found:
            raise DataError(
                f"{file} and {found[name].name} belong to one item, {name!r}; expected "
                f"one file. Remove or rename one."
            )
        found[name] = file
    return found

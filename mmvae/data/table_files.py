"""The files of a table: which splits they hold, and which files their cells name."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from mmvae.data.card import card_header, carded
from mmvae.data.columns import RefusedColumn
from mmvae.data.fingerprints import contents
from mmvae.data.paths import (
    CLOSED,
    KINDS,
    Tables,
    is_table,
    place,
    refuse_unreadable,
    table_files,
    tried,
)
from mmvae.data.source import Split
from mmvae.foundations.errors import DataError

SHARE = 0.1
"""Share for a split that neither exists nor is requested."""


def local_tables(path: str, configuration: str | None = None) -> Tables | None:
    """The files of a path by split, a single one as ``train``; None if it is an id of the Hub.

    Raises:
        DataError: It is meant as a file that does not exist or cannot be read.
    """
    found = place(path)
    folder = os.path.isdir(found)  # unlike the method it takes any text
    header = card_header(found) if folder else None
    if header is not None:
        return carded(found, header, configuration)
    if configuration is not None and os.path.exists(found):
        raise DataError(
            f"data.configuration = {configuration!r} is for data sets of the Hub or with a card "
            f"(README.md) that lists configurations; {path} is none. Leave it out."
        )
    if folder:
        return table_files(found)
    if os.path.lexists(found):
        refuse_unreadable(found)
        if not is_table(found):
            raise DataError(f"{path}: unknown ending, expected one of {', '.join(KINDS)}.")
        return Tables({"train": [found]})
    if looks_like_file(path):
        raise DataError(
            f"{path}: no such file{tried(path)}; expected a table or a Hub id. Brackets and stars "
            f"are taken as they are; name a folder to read all of its files."
        )
    return None


def named_below(path: str, files: Sequence[Path]) -> list[str]:
    """The names of files, with their folders below a path where some have the same."""
    names = [file.name for file in files]
    if len(set(names)) == len(names):
        return names
    return [str(file.relative_to(place(path))) for file in files]


def refuse_copies(splits: Mapping[str, Sequence[Path]]) -> None:
    """Check that no two splits have files of the same content.

    Raises:
        DataError: Two have.
    """
    files = [(name, file) for name, part in splits.items() for file in part]
    home: dict[str, tuple[str, Path]] = {}
    for (name, file), known in zip(files, contents([file for _, file in files]), strict=True):
        other, earlier = home.setdefault(known, (name, file))
        if other != name:
            raise DataError(
                f"{earlier} of the split {other} and {file} of {name} have the same content: "
                f"expected no item in two splits. Replace one, or give a fraction in place of a "
                f"split "
                f"(data.test = {SHARE})."
            )


def files_in_cells(split: Split) -> list[Path]:
    """The files that columns name, if all cells of the column are paths of files."""
    found = []
    for column in split.columns.values():
        if isinstance(column.values, RefusedColumn):
            continue
        known = column.without_missing()
        if not len(known) or not is_path(known.take([0]).read().values[0]):
            continue
        cells = known.read().values
        if all(is_path(cell) for cell in cells):
            found += [place(cell) for cell in cells]
    return found


def is_path(cell: Any) -> bool:
    """True if a cell is a text that is the path of a file."""
    return isinstance(cell, str) and os.path.isfile(place(cell))


def kept_files(splits: Iterable[Split]) -> list[str]:
    """The places of the files of streamed splits."""
    columns = [next(iter(split.columns.values())).values for split in splits]
    files = {Path(f["filename"]) for column in columns for f in column.dataset.cache_files}
    return [
        f"streamed once into {file} ({file.stat().st_size / 2**20:.3g} MiB); removed, it is "
        f"streamed again"
        for file in sorted(files)
    ]


def looks_like_file(path: str) -> bool:
    """True if a path that does not exist was meant as a file rather than as a Hub id."""
    endings = (*KINDS, *CLOSED)
    return (
        place(path).is_absolute()
        or any(path.lower().endswith(ending) for ending in endings)
        or path.count("/") > 1
        or path.startswith(".")
    )

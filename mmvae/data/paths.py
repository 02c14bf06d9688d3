"""Paths of ``[data]`` as files of this machine, and the files of a folder as splits.

A path is literal: brackets and stars are no patterns. The tables of a folder form one split,
``train``, unless their complete names are those of splits.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mmvae.data.item_names import natural, some
from mmvae.data.split_names import SPLITS
from mmvae.foundations.errors import DataError

KINDS = {
    ".parquet": "parquet",
    ".arrow": "arrow",
    ".csv": "csv",
    ".tsv": "csv",
    ".jsonl": "json",
    ".json": "json",
}
"""Ending → kind of table."""

CLOSED = {
    **dict.fromkeys((".gz", ".bz2", ".xz", ".zst", ".zip", ".7z"), "unpack it"),
    **dict.fromkeys((".xlsx", ".xls", ".ods"), "save it as CSV"),
    **dict.fromkeys((".feather", ".orc", ".h5", ".hdf5", ".sqlite", ".db"), "save it as Parquet"),
}
"""Endings of files that cannot be read as they are, and advice for each."""

ALIASES = {
    "train": "train",
    "training": "train",
    "validation": "validation",
    "valid": "validation",
    "val": "validation",
    "dev": "validation",
    "test": "test",
    "testing": "test",
    "eval": "test",
    "evaluation": "test",
}
"""Names of files and folders of a split → the split."""

DESCRIPTIONS = ("dataset_info.json", "dataset_infos.json", "dataset_dict.json", "state.json")
"""Names of the files that ``datasets`` writes beside tables."""

LITTER = ("thumbs.db", "desktop.ini")
"""Names of the files that file managers write into folders, beside hidden files."""

SHARD = re.compile(r"(?P<name>.+)-(?P<number>[0-9]{5})-of-(?P<count>[0-9]{5})")


def place(path: str) -> Path:
    """A path of ``[data]`` on this machine; ``~`` is the home folder."""
    return Path(os.path.expanduser(path))


def tried(path: str) -> str:
    """The place where a path was searched, if the path does not show it."""
    absolute = place(path).absolute()
    if str(absolute) == path:
        return ""
    if place(path).is_absolute():
        return f" (that is {absolute})"
    return (
        f" (that is {absolute}: relative paths count from the working folder. Start the command "
        f"in the folder where the path holds, or write the whole path)"
    )


def found_folder(path: str, key: str = "data.path", advice: str = "") -> Path:
    """The folder that a key of ``[data]`` names.

    Args:
        path: The value of the key.
        key: Its name, for messages.
        advice: How to get the folder.

    Raises:
        DataError: There is none.
    """
    if not os.path.isdir(place(path)):  # unlike the method it takes any text
        what = "is no folder" if os.path.exists(place(path)) else "no such folder"
        raise DataError(f"{key} = {path!r}: {what}{tried(path)}. {advice}".rstrip())
    return place(path)


def is_table(path: Path) -> bool:
    """True if a file is a readable table, by its ending."""
    return path.suffix.lower() in KINDS and path.is_file()


def is_litter(path: Path) -> bool:
    """True if a file or folder is hidden, or left by file managers or office programs."""
    return path.name.startswith((".", "~$")) or path.name.lower() in (*LITTER, "__macosx")


def refuse_unreadable(path: Path) -> None:
    """Check that a path is a file, neither compressed nor of a kind that needs conversion first.

    Raises:
        DataError: It is not.
    """
    if not path.is_file():
        what = "no regular file" if path.exists() else "a link to nothing"
        raise DataError(f"{path}: {what}; expected a file. Remove or replace it.")
    if path.suffix.lower() in CLOSED:
        raise DataError(
            f"{path}: {path.suffix} files are not read; {CLOSED[path.suffix.lower()]} (or move it "
            f"away, if it holds no items)."
        )


def split_called(name: str) -> str | None:
    """The split of a file or folder of exactly this name, if any."""
    return ALIASES.get(name.lower())


@dataclass(frozen=True)
class Tables:
    """The tables of a folder.

    Attributes:
        splits: Split → its files, in the natural order of their paths.
        left_out: Other files, by their paths in the folder.
    """

    splits: Mapping[str, Sequence[Path]]
    left_out: Sequence[str] = ()


def table_files(root: Path) -> Tables:
    """The tables of a folder and of the folders in it, by split.

    Raises:
        DataError: There are none, they are of several kinds, shards are missing, or it is not
            clear which split some belong to.
    """
    files, left_out = walked(root)
    if not files:
        others = f"; there are {some(left_out)}" if left_out else ""
        raise DataError(
            f"{root}: no table in that folder{others}. Expected files that end in "
            f"{', '.join(KINDS)}. (For a folder with a sub-folder of files for each modality, "
            f"set data.source = 'folder'.)"
        )
    kinds = Counter(KINDS[file.suffix.lower()] for file in files)
    if len(kinds) > 1:
        counts = ", ".join(f"{n} {kind}" for kind, n in sorted(kinds.items()))
        raise DataError(
            f"{root}: tables of several kinds ({counts}): "
            f"{some(file.relative_to(root) for file in files)}. Expected one kind: convert some, "
            f"or move them away."
        )
    check_shards(files)
    return Tables(by_split(root, files), left_out)


def walked(root: Path) -> tuple[list[Path], list[str]]:
    """The tables below a folder, in the natural order of their paths, and the other files."""
    files, left_out = [], []
    for folder, folders, names in os.walk(root, onerror=refuse_folder):
        here = Path(folder)
        for name in list(folders):
            if is_litter(here / name) or (here / name).is_symlink():
                folders.remove(name)
                left_out.append(str((here / name).relative_to(root)))
        for name in names:
            file = here / name
            if is_litter(file) or name in DESCRIPTIONS or not is_table(file):
                if not is_litter(file) and name not in DESCRIPTIONS:
                    refuse_unreadable(file)
                left_out.append(str(file.relative_to(root)))
            else:
                files.append(file)
    return sorted(files, key=lambda file: natural(str(file.relative_to(root)))), left_out


def refuse_folder(error: OSError) -> None:
    """Raise the error for a folder that cannot be read.

    Raises:
        DataError: Always.
    """
    raise DataError(f"{error.filename}: cannot be read ({error.strerror}).") from error


def check_shards(files: Iterable[Path]) -> None:
    """Check that no shard (``train-00000-of-00003``) of a table is missing.

    Raises:
        DataError: A shard is missing.
    """
    found: dict[tuple[Path, str, int], set[int]] = {}
    for file in files:
        if shard := SHARD.fullmatch(file.stem):
            key = (file.parent, shard["name"], int(shard["count"]))
            found.setdefault(key, set()).add(int(shard["number"]))
    for (folder, name, count), numbers in found.items():
        if missing := sorted(set(range(count)) - numbers):
            raise DataError(
                f"{folder}: of {name}-…-of-{count:05} the numbers "
                f"{some(f'{number:05}' for number in missing)} are missing. Fetch them again."
            )


def by_split(root: Path, files: Sequence[Path]) -> dict[str, list[Path]]:
    """Split → files, by their names and those of their folders; ``train`` if none names a split.

    Raises:
        DataError: Only some name a split, one names two, or several seem to name one.
    """
    shards = {shard["name"] for file in files if (shard := SHARD.fullmatch(file.stem))}
    sharded = any(split_called(name) for name in shards)
    named: dict[str, list[Path]] = {}
    silent = []
    for file in files:
        split = split_of(root, file, sharded)
        if split is None:
            silent.append(file)
        else:
            named.setdefault(split, []).append(file)
    if named and silent:
        with_split = [str(file.relative_to(root)) for part in named.values() for file in part]
        raise DataError(
            f"{root}: {some(with_split)} have the name of a split, "
            f"{some(file.relative_to(root) for file in silent)} do not. Expected names such as "
            f"train.csv, validation.csv and test.csv, or folders of such names, for all or for "
            f"none."
        )
    if named:
        return {name: named[name] for name in sorted(named, key=split_order)}
    words = {word for file in silent for word in words_of(file.relative_to(root))}
    if len(words) > 1:
        raise DataError(
            f"{root}: {some(file.relative_to(root) for file in silent)} seem to hold several "
            f"splits ({', '.join(sorted(words))}), but a split is recognised only by a whole "
            f"name. Rename them to "
            f"train.csv, validation.csv, test.csv, put them in folders of such names, or give "
            f"them names without those words to read them as one table."
        )
    return {"train": list(silent)}


def split_order(name: str) -> tuple[bool, int]:
    """A key that sorts train, validation and test before other splits."""
    return (name not in SPLITS, SPLITS.index(name) if name in SPLITS else 0)


def split_of(root: Path, file: Path, sharded: bool) -> str | None:
    """The split that a file's name or its folder's names.

    Raises:
        DataError: They name two.
    """
    shard = SHARD.fullmatch(file.stem)
    own = split_called(shard["name"] if shard else file.stem)
    if shard and sharded:
        own = own or shard["name"]
    folders = [part for part in file.relative_to(root).parts[:-1] if split_called(part)]
    around = split_called(folders[-1]) if folders else None
    if own and around and own != around:
        raise DataError(f"{file}: named {own}, in a folder named {around}. Move or rename it.")
    return own or around


def words_of(path: Path) -> set[str]:
    """The splits that the words of a name mention."""
    words = re.split(r"[^a-z]+", str(path.with_suffix("")).lower())
    return {split for word in words if (split := split_called(word))}

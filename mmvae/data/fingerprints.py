"""Contents of files: files are identified by their content, not by names or times.

Reading a large file takes long, so its hash is cached with the attributes that change when a file
is written: device, inode, size and times of change (mtime and ctime, in ns). If any of them
differs, the file is read again. So it is if the entry of the cache differs from its own checksum.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import xxhash

from mmvae.foundations import storage
from mmvae.foundations.errors import DataError, TrainingError
from mmvae.foundations.json_document import parse_json

BLOCK = 1 << 22
"""Number of bytes read at a time."""

SETTLED_NS = 2_000_000_000
"""A file changed more recently than this may change again with the same time of change."""

Marks = list[int]


def contents(files: Sequence[Path]) -> list[str]:
    """A hash of the content of each file, from the cache if its attributes are unchanged.

    Raises:
        DataError: A file does not exist, or cannot be read.
    """
    caches: dict[Path, _Cache] = {}
    found = []
    for file in files:
        folder = file.parent.absolute()
        if folder not in caches:
            caches[folder] = _Cache(folder)
        found.append(caches[folder].content(file))
    for cache in caches.values():
        cache.save()
    return found


def content(file: Path) -> str:
    """A hash of the content of one file; see :func:`contents`."""
    return contents([file])[0]


def forget(file: Path) -> None:
    """Drop the cached hash of a file that does not have this hash."""
    cache = _Cache(file.parent.absolute())
    cache.forget(file)
    cache.save()


def hashed(file: Path) -> str:
    """A hash of a file's content, read now.

    Raises:
        OSError: It cannot be read.
    """
    digest = xxhash.xxh3_128()
    with open(storage.open_regular(file, follow=True), "rb") as opened:
        while block := opened.read(BLOCK):
            digest.update(block)
    return digest.hexdigest()


def marks(file: Path) -> Marks:
    """The attributes that change when a file is written: device, inode, size, times of change.

    Raises:
        OSError: There is no such file.
    """
    stat = file.stat()
    return [stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns]


def cache_folder(name: str) -> Path:
    """The cache folder, next to the cache of ``datasets``; its files can be recreated."""
    import datasets

    return Path(datasets.config.HF_DATASETS_CACHE) / name


class _Cache:
    """Attributes and hashes of the files of one folder, by name."""

    def __init__(self, folder: Path) -> None:
        key = xxhash.xxh3_128_hexdigest(os.fsencode(folder))
        self.file = cache_folder("mmvae-contents") / f"{key}.json"
        self.changed = False
        try:
            self.known: Any = parse_json(storage.read(self.file))
        except (OSError, ValueError, RecursionError):  # none yet, or damaged: the files are read
            self.known = {}
        if not isinstance(self.known, dict):
            self.known = {}

    def content(self, file: Path) -> str:
        try:
            before = marks(file)
            known = self.known.get(file.name)
            if isinstance(known, list) and len(known) == len(before) + 2:
                found = str(known[-2])
                if known == _entry(before, found):
                    return found
            found = hashed(file)
            settled = max(before[-2:]) < time.time_ns() - SETTLED_NS
            if settled and marks(file) == before:
                self.known[file.name] = _entry(before, found)
                self.changed = True
            return found
        except OSError as error:
            raise DataError(f"{file}: cannot be read ({error.strerror}).") from None

    def forget(self, file: Path) -> None:
        """Drop the entry of a file."""
        self.changed = self.known.pop(file.name, None) is not None

    def save(self) -> None:
        """Store new entries; if the cache cannot be written, files are only read again later."""
        if not self.changed:
            return
        try:
            storage.make_folder(self.file.parent)
            storage.write_bytes(self.file, json.dumps(self.known).encode())
        except TrainingError:
            return


def _entry(marks: Marks, found: str) -> list[Any]:
    """A file's attributes and hash, with a checksum of both."""
    return [*marks, found, xxhash.xxh3_128_hexdigest(json.dumps([*marks, found]).encode())]

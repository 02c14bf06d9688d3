"""The store: pictures cropped once, kept on disk as one memory-mapped array of uint8.

A store is a folder named by a fingerprint of settings and pictures, so other settings or pictures
make another store. During creation, each shard of pictures is written at its place in
``images.npy`` and made durable before the file that marks it; a killed process loses only the
shards in progress. ``report.json`` is written last: a store that has it is complete. Nothing is
written through a link in a store, since the folder may come from others.
"""

from __future__ import annotations

import hashlib
import io
import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from tokenize import TokenError
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict

from mmvae import DataError, LazyValues
from mmvae.foundations import staging, storage
from mmvae.foundations.errors import RunError
from mmvae.foundations.json_document import parse_json
from mmvae.foundations.lock import FolderLock
from mmvae.foundations.operations import reported
from mmvae.modalities.column import row_index
from mmvae_benchmarks.celeba.crop import REASONS, Outcome
from mmvae_benchmarks.celeba.pictures import Pictures
from mmvae_benchmarks.celeba.recipe import Recipe
from mmvae_benchmarks.celeba.shards import REMEDY, SHARDS, cut_shards

Array = np.ndarray[Any, Any]

IMAGES, OUTCOMES, LEFT_OUT, REPORT = "images.npy", "outcomes.npy", "left-out.tsv", "report.json"
"""Files of a store."""

UNREADABLE = (
    OSError,
    EOFError,
    ValueError,
    TypeError,
    OverflowError,
    MemoryError,
    SyntaxError,
    TokenError,
)
"""What NumPy raises of a damaged file: its header is a text in Python, and may claim any size."""

CHECKSUM = "sha256"
"""Key of the checksum of ``report.json``."""


class Report(BaseModel):
    """The keys of ``report.json`` that are read."""

    model_config = ConfigDict(extra="allow")

    content: str
    pictures: int
    kept: int
    unlisted: int
    left_out: dict[str, int]


@dataclass(frozen=True)
class Store:
    """A complete store.

    Attributes:
        folder: Its folder.
        report: The content of ``report.json``: pictures, kept, left_out, settings, content.
    """

    folder: Path
    report: dict[str, Any]

    @cached_property
    def rows(self) -> Array:
        """Rows of the kept pictures, ascending."""
        with self._readable():
            return np.flatnonzero(np.load(self.folder / OUTCOMES) == Outcome.KEPT)

    def check(self, pictures: int, size: int) -> None:
        """Check that the arrays are those of this number of pictures of this size.

        Raises:
            DataError: They are not.
        """
        with self._readable():
            for name, shape in ((OUTCOMES, (pictures,)), (IMAGES, (pictures, size, size, 3))):
                if not (self.folder / name).is_file():  # a pipe would be waited for
                    raise ValueError(f"{name} is no file")
                array = np.load(self.folder / name, mmap_mode="r")
                if (array.dtype, array.shape) != (np.uint8, shape):
                    raise ValueError(f"{name} has {array.dtype} {array.shape}, expected {shape}")

    def images(self) -> StoredImages:
        """The kept pictures, unread."""
        with self._readable():
            return StoredImages(np.load(self.folder / IMAGES, mmap_mode="r"), self.rows)

    def summary(self) -> str:
        """The number of kept pictures, and why others were left out, in one sentence."""
        report, counts = self.report, self.report["left_out"]
        parts = [f"{counts[text]:,} {text}" for text in REASONS.values() if counts.get(text)]
        text = f"{report['kept']:,} of {report['pictures']:,} pictures kept"
        if parts:
            text += f"; left out: {', '.join(parts)} ({self.folder / LEFT_OUT})"
        return f"{text}; {report['unlisted']:,} without attributes" if report["unlisted"] else text

    @contextmanager
    def _readable(self) -> Iterator[None]:
        try:
            yield
        except UNREADABLE as error:
            raise damaged(self.folder, str(error)) from None


class StoredImages(LazyValues):
    """Some rows of a store's pictures, uint8 (n, size, size, 3), read on demand.

    Args:
        images: All rows, memory-mapped.
        rows: The selected rows.
    """

    def __init__(self, images: Array, rows: Array) -> None:
        self.all, self.rows = images, rows

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, rows: Sequence[int] | Array) -> StoredImages:
        """See :meth:`mmvae.LazyValues.take`."""
        return StoredImages(self.all, self.rows[row_index(rows)])

    def read(self) -> Array:
        """See :meth:`mmvae.LazyValues.read`."""
        return np.asarray(self.all[self.rows])


def open_store(
    cache: Path, pictures: Pictures, recipe: Recipe, workers: int, elsewhere: Path | None = None
) -> Store:
    """Open the store of these pictures; create it if it does not exist.

    Args:
        cache: The folder of stores.
        pictures: The pictures to crop.
        recipe: The crop.
        workers: Number of threads.
        elsewhere: Where to create it, if ``cache`` is only read.

    Raises:
        DataError: Pictures cannot be read, none was kept, or the store is damaged.
        TrainingError: The system refused to write, e.g. because the disk is full.
    """
    key = recipe.fingerprint() + pictures.fingerprint()
    name = (
        f"{recipe.crop}-{recipe.size}-{hashlib.blake2b(key.encode(), digest_size=8).hexdigest()}"
    )
    if elsewhere is not None and not (cache / name / REPORT).is_file():
        cache = elsewhere
    folder = cache / name
    if not (folder / REPORT).is_file():
        storage.make_folder(cache, remedy=REMEDY)
        storage.inner_folder(cache, name, remedy=REMEDY)
        with alone(folder):
            if not (folder / REPORT).is_file():
                make(folder, pictures, recipe, workers)
    store = Store(folder, read_report(folder))
    store.check(len(pictures), recipe.size)
    if not len(store.rows):
        raise DataError(
            f"{pictures.origin}: {store.summary()}. Expected faces seen from the front that fill "
            f"much of the picture; loosen [data.faces], or choose data.crop = 'centre'."
        )
    return store


def make(folder: Path, pictures: Pictures, recipe: Recipe, workers: int) -> None:
    """Crop all pictures into a store, or those left by a killed process."""
    images, started = folder / IMAGES, time.monotonic()
    shape = (len(pictures), recipe.size, recipe.size, 3)
    recipe.cutter()  # reports missing requirements early
    staging.clean(folder, remedy=REMEDY)
    with reported(images, REMEDY):
        if os.path.lexists(images):
            os.close(storage.open_own(images, os.O_RDONLY))
    if not images.is_file():
        if (folder / SHARDS).is_dir():  # the array was deleted
            storage.remove_folder(folder / SHARDS, remedy=REMEDY)
        reserve(images, shape)
    outcomes, content = cut_shards(folder, images, pictures, recipe, workers)
    counts = {text: int((outcomes == code).sum()) for code, text in REASONS.items()}
    report = {
        "pictures": len(pictures),
        "kept": int((outcomes == Outcome.KEPT).sum()),
        "left_out": counts,
        "unlisted": len(pictures.unlisted),
        "origin": pictures.origin,
        "settings": recipe.settings(),
        "content": content,
        "seconds": round(time.monotonic() - started, 1),
    }
    lost = [
        f"{pictures.names[i]}\t{REASONS[Outcome(outcomes[i])]}"
        for i in map(int, outcomes.nonzero()[0])
    ]
    lost += [f"{name}\tno attributes" for name in pictures.unlisted]
    storage.write_text(
        folder / LEFT_OUT,
        "".join(f"{line}\n" for line in ["picture\treason", *lost]),
        remedy=REMEDY,
    )
    storage.write_bytes(folder / OUTCOMES, npy(outcomes), remedy=REMEDY)
    sealed = report | {CHECKSUM: checksum_of(report)}
    storage.write_json(folder / REPORT, sealed, remedy=REMEDY)
    storage.remove_folder(folder / SHARDS, remedy=REMEDY)
    print(f"celeba: {Store(folder, report).summary()}", file=sys.stderr, flush=True)


def reserve(path: Path, shape: tuple[int, ...]) -> None:
    """Create the array's file at full size, so that a full disk is noticed at once."""
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": "|u1", "fortran_order": False, "shape": shape}
    )
    with staging.staged_file(path, remedy=REMEDY) as hidden, hidden.open("r+b") as file:
        file.write(header.getvalue())
        file.flush()
        size = len(header.getvalue()) + int(np.prod(shape, dtype=np.int64))
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file.fileno(), 0, size)
        else:  # macOS: space is allocated while writing
            file.truncate(size)


def read_report(folder: Path) -> dict[str, Any]:
    """The content of a store's ``report.json``.

    Raises:
        DataError: It is damaged.
    """
    try:
        found = parse_json(storage.read(folder / REPORT, follow=True))
        if isinstance(found, dict) and CHECKSUM in found:  # older stores have none
            claimed = found.pop(CHECKSUM)
            if claimed != checksum_of(found):
                raise ValueError(f"the checksum of {REPORT} differs")
        return Report.model_validate(found, strict=True).model_dump()
    except (OSError, ValueError, RecursionError) as error:
        raise damaged(folder, str(error)) from None


def checksum_of(report: dict[str, Any]) -> str:
    """The SHA-256 of a report without its checksum."""
    return hashlib.sha256(storage.json_bytes(report)).hexdigest()


def damaged(folder: Path, why: str) -> DataError:
    """The error for a store that was complete and no longer is."""
    return DataError(f"{folder}: the cropped pictures are damaged ({why}). Delete that folder.")


def npy(array: Array) -> bytes:
    """Encode an array as the content of a ``.npy`` file."""
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


@contextmanager
def alone(folder: Path, pause: float = 0.5) -> Iterator[None]:
    """Hold a folder's lock, after waiting for its present holder."""
    lock, announced = FolderLock(folder), False
    with ExitStack() as stack:
        while True:
            try:
                stack.enter_context(lock.held())
                break
            except RunError:
                if not announced:
                    print(f"celeba: another process makes {folder}; waiting", file=sys.stderr)
                announced = True
                time.sleep(pause)
        yield

"""Shards: consecutive pictures that one thread crops, and that survive an interruption.

Threads suffice, since decoding, the cascade and scaling all release Python's lock. Unlike
processes they require nothing of the calling script.
"""

from __future__ import annotations

import hashlib
import os
import threading
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from mmvae import DataError
from mmvae.foundations import staging, storage
from mmvae.foundations.operations import reported
from mmvae_benchmarks.celeba.crop import Outcome
from mmvae_benchmarks.celeba.pictures import Pictures, Unreadable
from mmvae_benchmarks.celeba.progress import Progress
from mmvae_benchmarks.celeba.recipe import Cut, Recipe

Array = np.ndarray[Any, Any]

SHARDS = "shards"
"""Folder of the files that mark completed shards."""

SHARD = 200
"""Pictures per shard; another number needs another VERSION of the recipe."""

MOST_UNREADABLE = 100
"""Number of unreadable pictures after which the search stops."""

REMEDY = "then repeat the command: it continues from there. Another disk: data.cache."
"""Advice if the system refuses to write."""


class Done(BaseModel):
    """The file that marks a completed shard: its outcomes and a hash of its pixels."""

    model_config = ConfigDict(extra="forbid", strict=True)

    outcomes: list[Annotated[int, Field(ge=0, lt=len(Outcome))]]
    pixels: Annotated[str, Field(pattern="^[0-9a-f]{32}$")]


class Stopped(Exception):
    """Another shard failed, or the process was interrupted."""


@dataclass
class Work:
    """The state that the threads share.

    Attributes:
        folder: The folder of the files that mark completed shards.
        images: The array's file.
        pictures: The pictures to crop.
        recipe: The crop.
        progress: Counts each picture.
        stop: Set when threads must stop.
        unreadable: Row → the reason why it cannot be read.
    """

    folder: Path
    images: Path
    pictures: Pictures
    recipe: Recipe
    progress: Progress
    stop: threading.Event = field(default_factory=threading.Event)
    unreadable: dict[int, str] = field(default_factory=dict)
    _own: threading.local = field(default_factory=threading.local)

    @property
    def starts(self) -> range:
        """First rows of the shards."""
        return range(0, len(self.pictures), SHARD)

    def rows(self, start: int) -> range:
        """The rows of a shard."""
        return range(start, min(start + SHARD, len(self.pictures)))

    def mark(self, start: int) -> Path:
        """The file that marks a completed shard."""
        return self.folder / f"{start:08d}.json"

    def done(self, start: int) -> Done | None:
        """The content of that file, or None if it is absent or damaged."""
        try:
            done = Done.model_validate_json(storage.read(self.mark(start)))
        except (OSError, ValueError):
            return None
        return done if len(done.outcomes) == len(self.rows(start)) else None

    def cut(self, start: int) -> None:
        """Crop one shard and write it, unless a picture of it cannot be read.

        Raises:
            Stopped: The threads must stop.
            TrainingError: The system refused to write.
        """
        rows = self.rows(start)
        block = np.zeros((len(rows), self.recipe.size, self.recipe.size, 3), np.uint8)
        outcomes = [self._one(block[i], row) for i, row in enumerate(rows)]
        if not any(row in self.unreadable for row in rows):
            with reported(self.images, REMEDY):
                write_rows(self.images, block, start)
            digest = hashlib.blake2b(block.tobytes(), digest_size=16).hexdigest()
            done = Done(outcomes=outcomes, pixels=digest)
            storage.write_json(self.mark(start), done.model_dump(), remedy=REMEDY)

    def _one(self, pixels: Array, row: int) -> int:
        if self.stop.is_set():
            raise Stopped
        try:
            result = self._cutter()(self.pictures.read(row))
        except Unreadable as error:
            self.unreadable[row] = str(error)
            result = Outcome.KEPT
            if len(self.unreadable) >= MOST_UNREADABLE:
                self.stop.set()  # here, since the waiting thread may react late
        self.progress.advance()
        if isinstance(result, Outcome):
            return int(result)
        pixels[:] = result
        return int(Outcome.KEPT)

    def _cutter(self) -> Cut:
        if not hasattr(self._own, "cut"):
            self._own.cut = self.recipe.cutter()
        cut: Cut = self._own.cut
        return cut


def cut_shards(
    folder: Path, images: Path, pictures: Pictures, recipe: Recipe, workers: int
) -> tuple[Array, str]:
    """Crop all shards that are not done yet.

    Args:
        folder: The store's folder; ``shards/`` in it marks completed shards.
        images: The array's file, with its header and at full size.
        pictures: The pictures to crop.
        recipe: The crop.
        workers: Number of threads.

    Returns:
        Each picture's :class:`Outcome`, uint8 (n,), and a hash of all pixels.

    Raises:
        DataError: Pictures cannot be read; they are named and counted, other shards are done.
        TrainingError: The system refused to write.
    """
    storage.inner_folder(folder, SHARDS, remedy=REMEDY)
    staging.clean(folder / SHARDS, remedy=REMEDY)
    with Progress(len(pictures)) as progress:
        work = Work(folder / SHARDS, images, pictures, recipe, progress)
        todo = [start for start in work.starts if work.done(start) is None]
        progress.begin(len(pictures) - sum(len(work.rows(start)) for start in todo))
        run(work, todo, workers)
    if work.unreadable:
        raise unreadable(work)
    done = [shard for start in work.starts if (shard := work.done(start)) is not None]
    if len(done) < len(work.starts):
        raise DataError(
            f"{folder / SHARDS}: files of {len(work.starts) - len(done)} completed shards were "
            f"removed or changed meanwhile. Repeat the command: it continues from there."
        )
    outcomes = np.array([code for shard in done for code in shard.outcomes], np.uint8)
    content = hashlib.blake2b("".join(shard.pixels for shard in done).encode(), digest_size=16)
    return outcomes, content.hexdigest()


def run(work: Work, todo: list[int], workers: int) -> None:
    """Crop shards in threads; on return, for any reason, all threads have stopped."""
    with ThreadPoolExecutor(workers) as pool:
        try:
            with suppress(Stopped):  # enough of its pictures cannot be read
                for future in as_completed([pool.submit(work.cut, start) for start in todo]):
                    future.result()
        finally:  # also an interrupt: the pool waits for its threads
            work.stop.set()
            pool.shutdown(cancel_futures=True)


def write_rows(path: Path, block: Array, start: int) -> None:
    """Write rows at their place in an array's file, durably; raises plain OSError."""
    with open(storage.open_own(path, os.O_RDWR), "r+b") as file:
        np.lib.format.read_magic(file)
        np.lib.format.read_array_header_1_0(file)
        at = file.tell() + start * block[0].nbytes
        rest = memoryview(block.data).cast("B")
        while rest:
            written = os.pwrite(file.fileno(), rest, at)
            rest, at = rest[written:], at + written
        os.fsync(file.fileno())


def unreadable(work: Work) -> DataError:
    """The error that names the pictures that cannot be read."""
    rows = sorted(work.unreadable)
    named = "; ".join(f"{work.pictures.names[row]}: {work.unreadable[row]}" for row in rows[:5])
    count = f"{len(rows)} picture{'s' * (len(rows) > 1)} cannot be read"
    at_least = "at least " if len(rows) >= MOST_UNREADABLE else ""
    return DataError(
        f"{work.pictures.origin}: {at_least}{count} ({named}{'; …' * (len(rows) > 5)}). Expected "
        f"whole JPEG or PNG files: replace them, or take their lines out of the listing, then "
        f"repeat the command; what was cropped stays."
    )

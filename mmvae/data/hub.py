"""Data sets of the Hugging Face Hub: read whole, or in sequence by way of a cache."""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from mmvae.data.columns import table_split
from mmvae.data.file_formats.table_stream import DAMAGED
from mmvae.data.paths import (
    place,
    tried,
)
from mmvae.data.source import Split
from mmvae.data.stream_cache import cached_stream
from mmvae.foundations.errors import DataError, TrainingError

EMPTY = ("corresponds to no data", "No columns to parse from file")
"""The messages of ``datasets`` for a table without rows, and for one without a header."""


class StreamedTables(Mapping[str, Split]):
    """The splits of the Hub that are read in sequence; each split is read on demand.

    Args:
        path: A Hub id.
        configuration: Name of the Hub configuration.
        columns: Columns to keep; default: all.
        limits: Split → number of items to take; default: all.

    Raises:
        DataError: It does not exist or cannot be read.
    """

    def __init__(
        self,
        path: str,
        configuration: str | None = None,
        columns: Sequence[str] | None = None,
        limits: Mapping[str, int] | None = None,
    ) -> None:
        import datasets

        self.path, self.columns, self.limits = path, columns, dict(limits or {})
        with reading(path):
            self._builder = datasets.load_dataset_builder(path, configuration)
            self._streams = self._builder.as_streaming_dataset()

    def __iter__(self) -> Iterator[str]:
        return map(str, self._streams)

    def __len__(self) -> int:
        return len(self._streams)

    def __contains__(self, name: object) -> bool:
        return name in self._streams

    def __getitem__(self, name: str) -> Split:
        stream, limit = self._streams[name], self.limits.get(name)
        with quiet():
            table = cached_stream(stream, self._key(name), self.path, self.columns, limit)
        return table_split(table, self.path)

    def _key(self, name: str) -> str:
        """A cache key: the files with their times, the split and the kept columns and items."""
        files = Path(self._builder.cache_dir).parts[-4:]
        wanted = repr((files, name, self.columns, self.limits.get(name)))
        return hashlib.sha256(wanted.encode()).hexdigest()[:32]


def load_hub(path: str, configuration: str | None) -> dict[str, Split]:
    """Read a data set of the Hub into splits.

    Raises:
        DataError: There is none, or it cannot be read.
    """
    import datasets

    with reading(path):
        loaded = datasets.load_dataset(path, configuration)
    return {str(name): table_split(dataset, path) for name, dataset in loaded.items()}


@contextmanager
def reading(path: str) -> Iterator[None]:
    """Convert errors of ``datasets`` in the block to messages about a table.

    Raises:
        DataError: It does not exist or cannot be read.
    """
    import datasets
    import yaml
    from datasets.exceptions import DatasetGenerationError

    datasets.disable_progress_bars()
    try:
        with quiet():
            yield
    except StopIteration as error:  # a JSON-lines file without lines
        raise DataError(f"{path}: no rows; expected at least one item.") from error
    except (*DAMAGED, yaml.YAMLError, DatasetGenerationError) as error:
        if full_disk(error):
            raise TrainingError(
                f"{path} cannot be read: the disk of the cache is full ({cause(error)}). Free "
                f"space there, or choose another disk with HF_HOME or HF_DATASETS_CACHE."
            ) from error
        if not os.path.exists(place(path)):
            raise DataError(
                f"{path}: no such file or folder here, and the Hub does not give a data set of "
                f"that id: {cause(error)}. Correct data.path{tried(path)}, or check the network."
            ) from error
        if any(sign in cause(error) for sign in EMPTY):
            raise DataError(f"{path}: no rows; expected at least one item.") from error
        raise DataError(
            f"{path} cannot be read as a table: {cause(error)}. Expected a Parquet, Arrow, CSV or "
            f"JSON-lines file, or a folder of them."
        ) from error


@contextmanager
def quiet() -> Iterator[None]:
    """Stop ``datasets`` from logging what our own error says."""
    from datasets.utils import logging

    before = logging.get_verbosity()
    logging.set_verbosity(logging.CRITICAL)
    try:
        yield
    finally:
        logging.set_verbosity(before)


def full_disk(error: BaseException | None) -> bool:
    """True if an error was caused by a full disk or quota."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            return True
        error = error.__cause__ or error.__context__
    return False


def cause(error: BaseException) -> str:
    """First line of the error at the root of an error's chain of causes."""
    while error.__cause__ is not None:
        error = error.__cause__
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(".") if lines else type(error).__name__

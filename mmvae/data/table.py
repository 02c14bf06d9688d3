"""Items in tables: Parquet, Arrow, CSV or JSON-lines files, a folder of them, or a Hub id."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, model_validator

from mmvae.column_type import ColumnType
from mmvae.data.columns import table_split
from mmvae.data.memory import MemorySource
from mmvae.data.reader import read_table
from mmvae.data.splits import CutConfig, cut, refuse_shared_groups
from mmvae.data.spool import spooled
from mmvae.errors import DataError
from mmvae.hookspecs import hookimpl
from mmvae.source import Source, Split, SplitName

READERS = {
    ".parquet": "parquet",
    ".arrow": "arrow",
    ".csv": "csv",
    ".tsv": "csv",
    ".jsonl": "json",
    ".json": "json",
}

EMPTY = ("corresponds to no data", "No columns to parse from file")
"""What ``datasets`` says of a table without rows, and of one without even a header."""

Share = Annotated[float, Field(ge=0, lt=1)]

SHARE = 0.1
"""Share for a split that is neither there nor asked for."""


class TableConfig(CutConfig):
    """``[data]`` of a table."""

    path: str = Field(description="A file, a folder of files, or the id of a data set on the Hub.")
    configuration: str | None = Field(None, description="Which configuration of a Hub data set.")
    train: str = Field("train", description="Name of the training split in the data set.")
    validation: str | Share | None = Field(
        None,
        description="Name of the validation split, or the share of the training items to take for "
        "it by split_seed (one item at least, 0 for no such split). Unless given: the split named "
        "'validation' where there is one, else a share of 0.1.",
    )
    test: str | Share | None = Field(
        None,
        description="Name of the test split, or the share of the training items to take for it "
        "by split_seed (one item at least, 0 for no such split). Unless given: the split named "
        "'test' where there is one, else a share of 0.1.",
    )
    stream: bool = Field(
        False,
        description="Read the table in sequence and once, for what this disk cannot hold whole: "
        "the columns and items that are wanted go to an Arrow file in the cache of datasets, and "
        "training reads that.",
    )
    columns: tuple[str, ...] | None = Field(
        None, min_length=1, description="With stream: the columns to keep; all unless given."
    )
    items: int | None = Field(
        None, gt=0, description="With stream: how many of the training items to take, the first."
    )

    @model_validator(mode="after")
    def _of_a_stream(self) -> TableConfig:
        for key in ("columns", "items"):
            if getattr(self, key) is not None and not self.stream:
                raise ValueError(f"{key} is for stream = true; set that, or leave {key} out")
        return self


class TableSource(Source):
    """A table read by the ``datasets`` library, from disk or from the Hub.

    Args:
        config: Its ``[data]`` section.
    """

    kind = "table"
    Config = TableConfig

    def splits(self) -> Mapping[SplitName, Split]:
        """See :meth:`mmvae.Source.splits`."""
        return self._splits

    @cached_property
    def _splits(self) -> dict[SplitName, Split]:
        config: TableConfig = self.config
        found = self._tables()
        if config.train not in found:
            raise DataError(
                f"data.path = {config.path!r} has the splits {', '.join(found)}, no "
                f"{config.train!r}: name the training split with data.train."
            )
        splits: dict[SplitName, Split] = {}
        shares: dict[str, float] = {"validation": 0.0, "test": 0.0}
        names: tuple[tuple[SplitName, str | float | None], ...] = (
            ("validation", config.validation),
            ("test", config.test),
        )
        for name, given in names:
            wanted = given if given is not None else name if name in found else SHARE
            if not isinstance(wanted, str):
                shares[name] = wanted
            elif wanted in found:
                splits[name] = found[wanted]
            else:
                raise DataError(
                    f"data.{name} = {wanted!r}: {config.path!r} has the splits "
                    f"{', '.join(found)}; name one of them or give a share such as {SHARE}."
                )
        rest = cut(found[config.train], shares["validation"], shares["test"], config)
        if config.group is not None:
            refuse_shared_groups(rest | splits, config.group)
        return rest | splits

    def remarks(self) -> Sequence[str]:
        """Where what was streamed is kept."""
        if not self.config.stream:
            return ()
        columns = [next(iter(split.columns.values())).values for split in self.splits().values()]
        files = {Path(f["filename"]) for column in columns for f in column.dataset.cache_files}
        return [
            f"streamed once into {file} ({file.stat().st_size / 2**20:.3g} MiB); removed, it is "
            f"streamed again"
            for file in sorted(files)
        ]

    def _tables(self) -> Mapping[str, Split]:
        config: TableConfig = self.config
        if not config.stream:
            return load_tables(config.path, config.configuration)
        limits = {} if config.items is None else {config.train: config.items}
        return StreamedTables(config.path, config.configuration, config.columns, limits)

    def fingerprint(self) -> str:
        """A hash of each split's table, by the ``datasets`` library, and of its rows."""
        digest = hashlib.sha256()
        for name, split in self.splits().items():
            values = next(iter(split.columns.values())).values
            digest.update(
                f"{name}/{values.dataset._fingerprint}/".encode() + values.rows.tobytes()
            )
        return digest.hexdigest()[:16]


class StreamedTables(Mapping[str, Split]):
    """The splits of a table that is read in sequence; a split is read when it is asked for.

    Args:
        path: A file, a folder or a Hub id.
        configuration: Of a Hub data set.
        columns: Which columns to keep; all unless given.
        limits: Split → how many items to take; all of others.

    Raises:
        DataError: Nothing is there, or it cannot be read.
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
            self._builder = datasets.load_dataset_builder(**located(path, configuration))
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
            table = spooled(stream, self._key(name), self.path, self.columns, limit)
        return table_split(table, self.path)

    def _key(self, name: str) -> str:
        """A name for what is read: of the files with their times, the split and what is kept."""
        files = Path(self._builder.cache_dir).parts[-4:]
        wanted = repr((files, name, self.columns, self.limits.get(name)))
        return hashlib.sha256(wanted.encode()).hexdigest()[:32]


def load_tables(
    path: str, configuration: str | None = None, types: Mapping[str, ColumnType] | None = None
) -> dict[str, Split]:
    """Read a file, a folder or a Hub data set into splits.

    Args:
        path: Where they are.
        configuration: Of a Hub data set.
        types: How columns of files are read, as far as it is known; the files tell of the others.

    Raises:
        DataError: Nothing is there, or it cannot be read.
    """
    import datasets

    place = Path(path)
    if place.is_file():
        reader(place)
        read = read_table([place], types)
        return {"train": table_split(read.table, path, read.types)}
    with reading(path):
        loaded = datasets.load_dataset(**located(path, configuration))
    return {str(name): table_split(dataset, path) for name, dataset in loaded.items()}


@contextmanager
def reading(path: str) -> Iterator[None]:
    """Say of what ``datasets`` raises in the block what it means for a table.

    Raises:
        DataError: Nothing is there, or it cannot be read.
    """
    import datasets
    from datasets.exceptions import DatasetGenerationError

    datasets.disable_progress_bars()
    try:
        with quiet():
            yield
    except StopIteration as error:  # a JSON-lines file without lines
        raise DataError(f"{path}: no rows; expected at least one item.") from error
    except (OSError, ValueError, DatasetGenerationError) as error:
        if not Path(path).exists():
            raise DataError(
                f"{path}: no such file or folder here, and the Hub does not give a data set of "
                f"that id: {cause(error)}. Correct data.path, or see to the network."
            ) from error
        if any(sign in cause(error) for sign in EMPTY):
            raise DataError(f"{path}: no rows; expected at least one item.") from error
        raise DataError(
            f"{path} cannot be read as a table: {cause(error)}. Expected a Parquet, Arrow, CSV or "
            f"JSON-lines file, or a folder of them."
        ) from error


def located(path: str, configuration: str | None) -> dict[str, Any]:
    """The arguments by which ``datasets`` finds a file, a folder or a data set of the Hub.

    Raises:
        DataError: It was meant as a file, and there is none.
    """
    place = Path(path)
    if place.is_file():
        separator = {"sep": "\t"} if place.suffix == ".tsv" else {}
        return {"path": reader(place), "data_files": {"train": str(place)}, **separator}
    if place.is_dir() or not looks_like_file(path):
        return {"path": path, "name": configuration}
    raise DataError(f"{path}: no such file; expected a table or a Hub id.")


@contextmanager
def quiet() -> Iterator[None]:
    """Keep ``datasets`` from logging what our own error says."""
    from datasets.utils import logging

    before = logging.get_verbosity()
    logging.set_verbosity(logging.CRITICAL)
    try:
        yield
    finally:
        logging.set_verbosity(before)


def cause(error: BaseException) -> str:
    """First line of what an error was raised from in the first place."""
    while error.__cause__ is not None:
        error = error.__cause__
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(".") if lines else type(error).__name__


def reader(path: Path) -> str:
    """Name of the reader for a file, by its ending.

    Raises:
        DataError: No reader knows the ending.
    """
    if path.suffix not in READERS:
        raise DataError(f"{path}: unknown ending, expected one of {', '.join(READERS)}.")
    return READERS[path.suffix]


def looks_like_file(path: str) -> bool:
    """Whether a path that does not exist was meant as a file rather than as a Hub id."""
    return os.path.isabs(path) or Path(path).suffix in READERS or path.count("/") > 1


@hookimpl
def register_sources(register: Callable[[type[Any]], None]) -> None:
    """Offer tables, folders of files and data in memory."""
    from mmvae.data.folder import FolderSource  # which reads tables, too

    register(TableSource)
    register(FolderSource)
    register(MemorySource)

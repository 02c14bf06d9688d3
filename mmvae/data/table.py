"""Items in tables: Parquet, Arrow, CSV or JSON-lines files, a folder of them, or a Hub id."""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, model_validator

from mmvae.data.bounds import Bounds
from mmvae.data.columns import RefusedColumn, table_split
from mmvae.data.declared_types import TypedConfig
from mmvae.data.fingerprints import contents
from mmvae.data.item_names import some
from mmvae.data.paths import (
    CLOSED,
    READERS,
    Tables,
    is_table,
    place,
    refuse_unreadable,
    table_files,
    tried,
)
from mmvae.data.reader import Reading, read_tables
from mmvae.data.source import Source, Split
from mmvae.data.split_names import SplitName
from mmvae.data.splits import cut, refuse_shared_groups
from mmvae.data.stream_cache import spooled
from mmvae.foundations.errors import DataError, TrainingError
from mmvae.modalities.column_type import ColumnType

EMPTY = ("corresponds to no data", "No columns to parse from file")
"""The messages of ``datasets`` for a table without rows, and for one without a header."""

CARD = 1 << 20
"""Characters of a card that are looked at."""

Share = Annotated[float, Field(ge=0, lt=1)]

SHARE = 0.1
"""Share for a split that neither exists nor is requested."""


class TableConfig(TypedConfig):
    """``[data]`` of a table."""

    path: str = Field(
        description="A file, a folder of files, or the id of a data set on the Hub. ~ is the home "
        "folder; relative paths count from the working folder."
    )
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
    """A table in files of this machine, or on the Hub.

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
        there = self._names
        if config.train not in there:
            raise DataError(
                f"data.path = {config.path!r} has the splits {', '.join(there)}, no "
                f"{config.train!r}: name the training split with data.train."
            )
        wanted: dict[SplitName, str] = {"train": config.train}
        given_names = (config.train, config.validation, config.test)
        shares: dict[str, float] = {"validation": 0.0, "test": 0.0}
        names: tuple[tuple[SplitName, str | float | None], ...] = (
            ("validation", config.validation),
            ("test", config.test),
        )
        for name, given in names:
            own = name if name in there and name not in given_names else SHARE
            chosen = given if given is not None else own
            if not isinstance(chosen, str):
                shares[name] = chosen
            elif chosen not in there:
                raise DataError(
                    f"data.{name} = {chosen!r}: {config.path!r} has the splits "
                    f"{', '.join(there)}; name one of them or give a share such as {SHARE}."
                )
            elif chosen in wanted.values():
                home = next(split for split, other in wanted.items() if other == chosen)
                raise DataError(
                    f"data.{name} = {chosen!r}: that split of {config.path!r} is data.{home} "
                    f"already, and no item may be in two; name another or give a share such as "
                    f"{SHARE}."
                )
            else:
                wanted[name] = chosen
        found = self._read(list(wanted.values()))
        config.refuse_unknown(found[config.train].columns)
        if config.types and self._files is None:
            raise DataError(
                f"data.types: {config.path!r} is a data set of the Hub, whose columns have types; "
                f"the key is for files. Leave it out."
            )
        rest = cut(found[config.train], shares["validation"], shares["test"], config)
        splits: dict[SplitName, Split] = {
            name: found[chosen] for name, chosen in wanted.items() if name != "train"
        }
        if config.group is not None:
            refuse_shared_groups(rest | splits, config.group)
        return rest | splits

    @cached_property
    def _files(self) -> Tables | None:
        """The files, unless it is a data set of the Hub."""
        return local_tables(self.config.path, self.config.configuration)

    @cached_property
    def _hub(self) -> Mapping[str, Split]:
        config: TableConfig = self.config
        if not config.stream:
            return load_hub(config.path, config.configuration)
        return StreamedTables(config.path, config.configuration, config.columns, self._limits)

    @property
    def _limits(self) -> dict[str, int]:
        config: TableConfig = self.config
        return {} if config.items is None else {config.train: config.items}

    @property
    def _names(self) -> list[str]:
        """The names of the existing splits."""
        return list(self._hub if self._files is None else self._files.splits)

    @cached_property
    def _readings(self) -> dict[str, Reading]:
        """Split → its reading, added as splits are read."""
        return {}

    def _read(self, names: Sequence[str]) -> Mapping[str, Split]:
        config: TableConfig = self.config
        if self._files is None:
            return self._hub
        files = {name: self._files.splits[name] for name in names}
        types, bounds = config.column_types(), config.bounds()
        for file in (file for part in files.values() for file in part):
            bounds.check_file(file)
        refuse_copies(files)
        self._readings.update(read_tables(files, types, config.columns, self._limits, bounds))
        return {n: split_of(r, config.path) for n, r in self._readings.items()}

    def remarks(self) -> Sequence[str]:
        """Number of rows and their files, what is left out, and the place of a stream's file."""
        splits, found = self.splits(), []
        if self._files is not None:
            for name, reading in self._readings.items():
                of = some(named_below(self.config.path, self._files.splits[name]))
                found.append(f"{self.config.path}: {len(reading.table)} rows of {of}")
            if unread := [name for name in self._files.splits if name not in self._readings]:
                found.append(f"{self.config.path}: left out the splits {some(unread)}")
            if self._files.left_out:
                found.append(f"{self.config.path}: left out {some(self._files.left_out)}")
        return [*found, *kept_files(splits.values())] if self.config.stream else found

    def doubts(self) -> Sequence[str]:
        """Remarks on how the files were read."""
        self.splits()
        told = [remark for reading in self._readings.values() for remark in reading.remarks]
        return list(dict.fromkeys(told))

    def fingerprint(self) -> str:
        """A hash of each split's files by their contents, or of its table, and of its rows.

        Files whose paths are in the cells of a column count as well.
        """
        digest = hashlib.sha256()
        for name, split in self.splits().items():
            values = next(iter(split.columns.values())).values
            digest.update(
                f"{name}/{values.dataset._fingerprint}/".encode() + values.rows.tobytes()
            )
            if files := files_in_cells(split):
                digest.update("\n".join(contents(files)).encode())
        return digest.hexdigest()[:16]


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
            table = spooled(stream, self._key(name), self.path, self.columns, limit)
        return table_split(table, self.path)

    def _key(self, name: str) -> str:
        """A cache key: the files with their times, the split and the kept columns and items."""
        files = Path(self._builder.cache_dir).parts[-4:]
        wanted = repr((files, name, self.columns, self.limits.get(name)))
        return hashlib.sha256(wanted.encode()).hexdigest()[:32]


def load_tables(
    path: str,
    configuration: str | None = None,
    types: Mapping[str, ColumnType] | None = None,
    bounds: Bounds | None = None,
) -> dict[str, Split]:
    """Read a file, a folder or a Hub data set into splits.

    Args:
        path: Where they are.
        configuration: Of a Hub data set.
        types: How columns of files are read, as far as it is known; the files tell of the others.
        bounds: How much files and cells may hold.

    Raises:
        DataError: It does not exist or cannot be read.
    """
    files = local_tables(path, configuration)
    if files is None:
        return load_hub(path, configuration)
    read = read_tables(files.splits, types, bounds=bounds)
    return {name: split_of(found, path) for name, found in read.items()}


def split_of(found: Reading, path: str) -> Split:
    """The items of files that were read as a split."""
    return table_split(found.table, path, found.types, found.refused)


def local_tables(path: str, configuration: str | None = None) -> Tables | None:
    """The files of a path by split, a single one as ``train``; None if it is an id of the Hub.

    Raises:
        DataError: It is meant as a file that does not exist or cannot be read.
    """
    found = place(path)
    folder = os.path.isdir(found)  # unlike the method it takes any text
    if folder and has_card(found):
        return carded(path, configuration)
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
            raise DataError(f"{path}: unknown ending, expected one of {', '.join(READERS)}.")
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


def has_card(folder: Path) -> bool:
    """True if a folder has a card of the Hub that assigns files to splits."""
    card = folder / "README.md"
    if not card.is_file():
        return False
    with card.open(encoding="utf-8", errors="replace") as file:
        _, dashes, rest = file.read(CARD).partition("---\n")
    return bool(dashes) and "\nconfigs:" in "\n" + rest.partition("\n---")[0]


def carded(path: str, configuration: str | None) -> Tables:
    """The files of a folder as its card of the Hub assigns them.

    Raises:
        DataError: There is no such configuration, or a file cannot be read.
    """
    import datasets

    with reading(path):
        builder = datasets.load_dataset_builder(str(place(path)), configuration)
    splits = {str(n): [Path(f) for f in files] for n, files in builder.config.data_files.items()}
    for file in (file for files in splits.values() for file in files):
        if not is_table(file):
            raise DataError(
                f"{file}: its card names it, but expected are files that end in "
                f"{', '.join(READERS)}."
            )
    return Tables(splits)


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
                f"{earlier} of the split {other} and {file} of {name} hold the same: expected "
                f"that no item is in two splits. Replace one, or give a share in place of a split "
                f"(data.test = {SHARE})."
            )


def load_hub(path: str, configuration: str | None) -> dict[str, Split]:
    """Read a data set of the Hub into splits.

    Raises:
        DataError: There is none, or it cannot be read.
    """
    import datasets

    with reading(path):
        loaded = datasets.load_dataset(path, configuration)
    return {str(name): table_split(dataset, path) for name, dataset in loaded.items()}


def files_in_cells(split: Split) -> list[Path]:
    """The files that columns name, if all cells of the column are paths of files."""
    found = []
    for column in split.columns.values():
        if isinstance(column.values, RefusedColumn):
            continue
        known = column.without_gaps()
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


@contextmanager
def reading(path: str) -> Iterator[None]:
    """Convert errors of ``datasets`` in the block to messages about a table.

    Raises:
        DataError: It does not exist or cannot be read.
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
        if full_disk(error):
            raise TrainingError(
                f"{path} cannot be read: the disk of the cache is full ({cause(error)}). Free "
                f"space there, or choose another disk with HF_HOME or HF_DATASETS_CACHE."
            ) from error
        if not os.path.exists(place(path)):
            raise DataError(
                f"{path}: no such file or folder here, and the Hub does not give a data set of "
                f"that id: {cause(error)}. Correct data.path{tried(path)}, or see to the network."
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


def looks_like_file(path: str) -> bool:
    """True if a path that does not exist was meant as a file rather than as a Hub id."""
    endings = (*READERS, *CLOSED)
    return (
        place(path).is_absolute()
        or any(path.lower().endswith(ending) for ending in endings)
        or path.count("/") > 1
        or path.startswith(".")
    )

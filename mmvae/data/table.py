"""Items in tables: Parquet, Arrow, CSV or JSON-lines files, a folder of them, or a Hub id."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Annotated

from pydantic import Field, model_validator

from mmvae.data.columns import table_split
from mmvae.data.declared_types import TypedConfig
from mmvae.data.fingerprints import contents
from mmvae.data.hub import StreamedTables, load_hub
from mmvae.data.item_names import some
from mmvae.data.paths import (
    Tables,
)
from mmvae.data.size_bounds import Bounds
from mmvae.data.source import Source, Split
from mmvae.data.split_names import SplitName
from mmvae.data.splits import cut, doubtful_names, refuse_shared_groups
from mmvae.data.table_files import (
    SHARE,
    files_in_cells,
    kept_files,
    local_tables,
    named_below,
    refuse_copies,
)
from mmvae.data.table_reader import Reading, read_tables
from mmvae.foundations.errors import DataError
from mmvae.modalities.column_type import ColumnType

Share = Annotated[float, Field(ge=0, lt=1)]


class TableConfig(TypedConfig):
    """``[data]`` of a table."""

    path: str = Field(
        description="A file, a folder of files, or the id of a data set on the Hub. ~ is the home "
        "folder. Relative paths start at the working folder."
    )
    configuration: str | None = Field(
        None,
        description="Name of the configuration of a Hub data set.",
    )
    train: str = Field("train", description="Name of the training split in the data set.")
    validation: str | Share | None = Field(
        None,
        description="Name of the validation split, or the fraction of the training items to use "
        "for it, split by split_seed. A fraction above 0 gives at least one item; 0 gives no "
        "validation split. Default: the split named 'validation' if it exists, else the fraction "
        "0.1.",
    )
    test: str | Share | None = Field(
        None,
        description="Name of the test split, or the fraction of the training items to use for it, "
        "split by split_seed. A fraction above 0 gives at least one item; 0 gives no test split. "
        "Default: the split named 'test' if it exists, else the fraction 0.1.",
    )
    stream: bool = Field(
        False,
        description="Read the table once and in sequence, for data that do not fit on this disk. "
        "The selected columns and items are written to an Arrow file in the cache of datasets, "
        "and training reads that file.",
    )
    columns: tuple[str, ...] | None = Field(
        None, min_length=1, description="With stream: the columns to keep. Default: all."
    )
    items: int | None = Field(
        None,
        gt=0,
        description="With stream: number of training items to keep, from the start. Default: all.",
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
                    f"{', '.join(there)}; name one of them or give a fraction such as {SHARE}."
                )
            elif chosen in wanted.values():
                home = next(split for split, other in wanted.items() if other == chosen)
                raise DataError(
                    f"data.{name} = {chosen!r}: that split of {config.path!r} is data.{home} "
                    f"already, and no item may be in two; name another or give a fraction such as "
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
        """Number of rows and their files, items left out, and the path of a stream's file."""
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
        """Remarks on how the files were read, and groups that look the same."""
        self.splits()
        remarks = [remark for reading in self._readings.values() for remark in reading.remarks]
        return [*dict.fromkeys(remarks), *doubtful_names(self.splits(), self.config)]

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
        types: How columns of files are read, if known; the others are inferred.
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

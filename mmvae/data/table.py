"""Items in tables: Parquet, Arrow, CSV or JSON-lines files, a folder of them, or a Hub id."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from mmvae.codec import Column, LazyValues, row_index
from mmvae.data.memory import MemorySource, as_array
from mmvae.data.splits import CutConfig, cut, refuse_shared_groups
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


class TableColumn(LazyValues):
    """Some rows of one column of a ``datasets.Dataset``; pictures and sounds stay undecoded.

    Args:
        dataset: The data set.
        name: The column.
        rows: Which rows; all unless given.
        whole: Whether its numbers are whole ones that gaps alone made fractional, as in CSV files.
    """

    def __init__(
        self,
        dataset: Any,
        name: str,
        rows: np.ndarray[Any, Any] | None = None,
        whole: bool = False,
    ) -> None:
        self.dataset, self.name, self.whole = dataset, name, whole
        self.rows = np.arange(len(dataset)) if rows is None else rows

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, rows: Sequence[int] | np.ndarray[Any, Any]) -> TableColumn:
        """See :meth:`mmvae.codec.LazyValues.take`."""
        return TableColumn(self.dataset, self.name, self.rows[row_index(rows)], self.whole)

    def read(self) -> Any:
        """See :meth:`mmvae.codec.LazyValues.read`."""
        values = as_array(self.dataset.select_columns([self.name])[self.rows.tolist()][self.name])
        whole = self.whole and isinstance(values, np.ndarray) and np.isfinite(values).all()
        return values.astype(np.int64) if whole else values


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
        found = load_tables(config.path, config.configuration)
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

    def fingerprint(self) -> str:
        """A hash of each split's table, by the ``datasets`` library, and of its rows."""
        digest = hashlib.sha256()
        for name, split in self.splits().items():
            values = next(iter(split.columns.values())).values
            digest.update(
                f"{name}/{values.dataset._fingerprint}/".encode() + values.rows.tobytes()
            )
        return digest.hexdigest()[:16]


def load_tables(path: str, configuration: str | None = None) -> dict[str, Split]:
    """Read a file, a folder or a Hub data set into splits.

    Raises:
        DataError: Nothing is there, or it cannot be read.
    """
    import datasets
    from datasets.exceptions import DatasetGenerationError

    datasets.disable_progress_bars()
    try:
        with quiet():
            loaded = read(path, configuration)
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
    return {str(name): as_split(dataset, path) for name, dataset in loaded.items()}


def read(path: str, configuration: str | None) -> Any:
    """A ``datasets.DatasetDict`` from a file, a folder or the Hub; raises as ``datasets`` does."""
    import datasets

    place = Path(path)
    if place.is_file():
        separator = {"sep": "\t"} if place.suffix == ".tsv" else {}
        files = {"train": str(place)}
        return datasets.load_dataset(reader(place), data_files=files, **separator)
    if place.is_dir() or not looks_like_file(path):
        return datasets.load_dataset(path, configuration)
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


def as_split(dataset: Any, origin: str) -> Split:
    """A ``datasets.Dataset`` as a split with lazily read columns; items lack what is null."""
    import datasets

    columns = {}
    present = {name: presence(dataset, name) for name in dataset.features}
    for name, feature in dataset.features.items():
        if isinstance(feature, (datasets.Image, datasets.Audio)):
            dataset = dataset.cast_column(name, type(feature)(decode=False))
    for name, feature in dataset.features.items():
        names = getattr(feature, "names", None)
        columns[name] = Column(
            TableColumn(dataset, name, whole=present[name] is not None and whole(dataset, name)),
            tuple(names) if names else None,
            f"{origin}, column {name!r}",
            present[name],
        )
    return Split(columns, np.arange(len(dataset)))


def presence(dataset: Any, name: str) -> np.ndarray[Any, Any] | None:
    """Which rows of a column hold anything but null and NaN, bool (n,); None if all do."""
    column = dataset.with_format("arrow").data.column(name)
    null = column.is_null(nan_is_null=True).to_numpy().astype(bool) | hollow(column)
    rows = dataset._indices
    if rows is not None:
        null = null[rows.column(0).to_numpy()]
    return ~null if null.any() else None


def hollow(column: Any) -> np.ndarray[Any, Any]:
    """Which rows of an Arrow column are lists of nothing but null and NaN, bool (n,)."""
    import pyarrow
    import pyarrow.compute

    kind = column.type
    types = pyarrow.types
    lists = types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind)
    if not lists or types.is_nested(kind.value_type):
        return np.zeros(len(column), bool)
    found = [np.zeros(0, bool)]
    for part in column.chunks:
        cells = pyarrow.compute.list_flatten(part)
        owner = pyarrow.compute.list_parent_indices(part).to_numpy()
        known = ~cells.is_null(nan_is_null=True).to_numpy(zero_copy_only=False)
        all_, filled = (np.bincount(rows, minlength=len(part)) for rows in (owner, owner[known]))
        found.append((all_ > 0) & (filled == 0))
    return np.concatenate(found)


def whole(dataset: Any, name: str) -> bool:
    """Whether a column of floating numbers holds whole ones alone, beside gaps."""
    import pyarrow
    import pyarrow.compute

    column = dataset.with_format("arrow").data.column(name)
    if not pyarrow.types.is_floating(column.type):
        return False
    compute = pyarrow.compute
    equal = compute.equal(column, compute.trunc(column))
    integral = compute.and_(equal, compute.is_finite(column))
    return bool(compute.all(compute.or_(integral, compute.is_nan(column))).as_py())


@hookimpl
def register_sources(register: Callable[[type[Any]], None]) -> None:
    """Offer tables, folders of files and data in memory."""
    from mmvae.data.folder import FolderSource  # which reads tables, too

    register(TableSource)
    register(FolderSource)
    register(MemorySource)

"""Tables read and written in chunks of rows, so that neither is ever whole in memory.

Columns that nobody asks for pass through as they are: of Parquet and Arrow the values with their
types, of CSV and JSON lines what was written.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from mmvae.data.bounds import Bounds
from mmvae.data.written_cells import converted
from mmvae.foundations.errors import DataError
from mmvae.modalities.column_type import ColumnType, Kind

Types = Mapping[str, ColumnType]
"""Column → its type."""

Filled = Mapping[str, Mapping[int, Any]]
"""Column → row of a chunk → the value that is to stand there."""


class Rows(ABC):
    """Some rows of a table."""

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def arrow(self, name: str) -> Any:
        """A column's values, of the kind that the stream says, as an Arrow array with nulls.

        Raises:
            DataError: A value is not of the kind that is wanted.
        """

    def values(self, name: str) -> list[Any]:
        """A column's values, None where there is none."""
        found: list[Any] = self.arrow(name).to_pylist()
        return found


class TableStream(ABC):
    """A table in a file.

    Args:
        path: The file.
        wanted: How to read columns, as far as it is known; the file tells of the others.
        bounds: How much its cells may hold.
    """

    def __init__(
        self, path: Path, wanted: Types | None = None, bounds: Bounds | None = None
    ) -> None:
        self.path, self.wanted, self.bounds = path, dict(wanted or {}), bounds or Bounds()
        self.types, self.remarks = {}, []

    names: list[str]
    """Its columns."""

    total: int
    """Its rows."""

    types: dict[str, ColumnType]
    """How each column is read; another type may be put in its place before reading."""

    remarks: list[str]
    """What a person should know of how it is read, a sentence each."""

    @abstractmethod
    def chunks(self, size: int) -> Iterator[Rows]:
        """All rows, ``size`` at a time, or fewer where they hold much."""

    @abstractmethod
    def kind(self, name: str) -> Kind:
        """What a column holds in the file, however it is read."""

    holds_bytes: ClassVar[bool] = False
    """Whether its columns can hold encoded pictures, or their paths alone."""

    def labels(self, name: str) -> tuple[str, ...] | None:
        """Names of the classes whose codes a column holds, if the file knows them."""
        return None

    @abstractmethod
    def schema(self, names: Sequence[str]) -> Any:
        """The Arrow schema of some columns as they are read.

        Raises:
            DataError: A column has values of several types.
        """

    @abstractmethod
    def writer(self, path: Path, filled: Mapping[str, Any], added: Mapping[str, Any]) -> Writer:
        """Where the same table goes with some gaps filled, and some more columns.

        Args:
            path: The file to write.
            filled: Column → Arrow type of the values that fill it.
            added: New column → its Arrow type.
        """


class Writer(ABC):
    """Takes chunks, in order; a context that closes the file."""

    @abstractmethod
    def write(self, rows: Rows, filled: Filled, added: Mapping[str, Sequence[Any]]) -> None:
        """Write some rows with other values in some places, and the values of new columns.

        Raises:
            DataError: A value does not fit its column.
        """

    @abstractmethod
    def __enter__(self) -> Writer: ...

    @abstractmethod
    def __exit__(self, *error: object) -> None: ...


def read_as(kind: Kind, wanted: ColumnType | None) -> ColumnType:
    """How a column is read that holds ``kind`` in a file.

    A column of texts that is wanted so, say, may hold nothing but digits in this file.
    """
    if wanted is None or wanted.kind in ("code", "list", "picture", "null", "other"):
        return ColumnType(kind)
    if wanted.kind in ("text", "date", "timestamp"):
        return ColumnType("text", wanted.words) if kind in SIMPLE else ColumnType(kind)
    if {kind, wanted.kind} == {"integer", "number"}:
        return ColumnType(kind)  # the same numbers, of which the codec says what it takes
    return ColumnType(wanted.kind) if kind in SIMPLE else ColumnType(kind)


SIMPLE = ("text", "integer", "number", "boolean", "null")
"""Kinds of which each value can be said in another of them, or is refused."""


def cast(value: Any, kind: Kind, where: str) -> Any:
    """A value as one of another kind.

    Raises:
        DataError: It cannot be said in that kind.
    """
    try:
        return None if value is None else converted(value, kind)
    except ValueError as error:
        raise DataError(
            f"{where}: got {value!r}, expected {error}, as in all other rows or in the training. "
            f"Correct it, leave it empty, or declare the column's type in [data.types]."
        ) from None


def fitting(value: Any, kind: Kind, where: str) -> Any:
    """A value that fills a gap of a column, as one of the column's kind.

    Raises:
        DataError: It is none.
    """
    try:
        return converted(value, kind) if kind in SIMPLE else value
    except ValueError as error:
        raise DataError(
            f"{where}: the model fills in {value!r}, which is not {error}, as the others in this "
            f"column are. Give the column the type that the model was trained on."
        ) from None


def first_line(error: BaseException) -> str:
    """The first line of what an error says, without its full stop."""
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(".") if lines else type(error).__name__

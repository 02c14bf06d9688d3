"""Tables read and written in chunks of rows, so that they are never in memory as a whole.

Columns that are not requested pass through unchanged: values and types of Parquet and Arrow, the
written text of CSV and JSON lines.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar

from mmvae.data.size_bounds import Bounds
from mmvae.data.written_cells import DIGITS, STYLES, converted
from mmvae.foundations.errors import DataError
from mmvae.modalities.column_type import ColumnType, Kind

Types = Mapping[str, ColumnType]
"""Column → its type."""

Filled = Mapping[str, Mapping[int, Any]]
"""Column → row of a chunk → its new value."""


FEW = 1000
"""Rows that are read at a time to see how a column writes false and true."""


class Rows(ABC):
    """Some rows of a table."""

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def arrow(self, name: str) -> Any:
        """A column's values, of the kind that the stream says, as an Arrow array with nulls.

        Raises:
            DataError: A value is not of the requested kind.
        """

    @abstractmethod
    def raw(self, name: str) -> list[Any]:
        """A column's values as the file holds them, whatever they are read as."""

    def values(self, name: str) -> list[Any]:
        """A column's values, None for missing ones."""
        found: list[Any] = self.arrow(name).to_pylist()
        return found


class TableStream(ABC):
    """A table in a file.

    Args:
        path: The file.
        wanted: How to read columns, if known; the others are inferred.
        bounds: How much its cells may hold.
    """

    def __init__(
        self, path: Path, wanted: Types | None = None, bounds: Bounds | None = None
    ) -> None:
        self.path, self.wanted, self.bounds = path, dict(wanted or {}), bounds or Bounds()
        self.types, self.remarks, self.refused = {}, [], {}
        self._truths: dict[str, tuple[str, str]] = {}

    names: list[str]
    """The names of its columns."""

    total: int
    """The number of its rows."""

    types: dict[str, ColumnType]
    """The type as which each column is read; it may be replaced before reading."""

    remarks: list[str]
    """Remarks on the reading, one sentence each."""

    refused: dict[str, str]
    """Column whose type cannot be read → the message if it is used."""

    @abstractmethod
    def chunks(self, size: int) -> Iterator[Rows]:
        """All rows, ``size`` at a time, or fewer where they hold much."""

    @abstractmethod
    def kind(self, name: str) -> Kind:
        """The kind of a column's values in the file, however it is read."""

    holds_bytes: ClassVar[bool] = False
    """True if its columns can hold encoded pictures; False if only their paths."""

    def labels(self, name: str) -> tuple[str, ...] | None:
        """Names of the classes whose codes a column holds, if the file knows them."""
        return None

    def truths(self, name: str) -> tuple[str, str]:
        """The texts for false and true in a column of texts that is read as booleans."""
        if name not in self._truths:
            texts = (v for rows in self.chunks(FEW) for v in rows.raw(name) if isinstance(v, str))
            known = (pair for text in texts for pair in (*STYLES, *DIGITS) if text in pair)
            self._truths[name] = next(known, STYLES[0])
        return self._truths[name]

    @abstractmethod
    def schema(self, names: Sequence[str]) -> Any:
        """The Arrow schema of some columns as they are read.

        Raises:
            DataError: A column has values of several types.
        """

    @abstractmethod
    def writer(self, path: Path, filled: Mapping[str, Any], added: Mapping[str, Any]) -> Writer:
        """A writer for the same table with some missing values filled, and new columns.

        Args:
            path: The file to write.
            filled: Column → Arrow type of the values that fill it.
            added: New column → its Arrow type.
        """


class Writer(ABC):
    """Takes chunks, in order; a context that closes the file."""

    retyped: Mapping[str, tuple[str, str]] = MappingProxyType({})
    """Column whose type is changed for the filled values → its types before and after."""

    @abstractmethod
    def write(self, rows: Rows, filled: Filled, added: Mapping[str, Sequence[Any]]) -> None:
        """Write some rows with new values in some cells, and the values of new columns.

        Raises:
            DataError: A value does not fit its column.
        """

    @abstractmethod
    def __enter__(self) -> Writer: ...

    @abstractmethod
    def __exit__(self, *error: object) -> None: ...


def read_as(kind: Kind, wanted: ColumnType | None) -> ColumnType:
    """The type as which a column is read if the file holds ``kind``.

    For example, a column that must be read as texts may hold only digits in this file.
    """
    if wanted is None or wanted.kind in ("code", "list", "picture", "null", "other"):
        return ColumnType(kind)
    if wanted.kind in ("text", "date", "timestamp"):
        return ColumnType("text", wanted.words) if kind in SIMPLE else ColumnType(kind)
    if {kind, wanted.kind} == {"integer", "number"}:
        return ColumnType(kind)  # the same numbers, of which the codec says what it takes
    return ColumnType(wanted.kind) if kind in SIMPLE else ColumnType(kind)


SIMPLE = ("text", "integer", "number", "boolean", "null")
"""Pairs of kinds such that a value of the first either converts to the second or is refused."""


def cast(value: Any, kind: Kind, where: str) -> Any:
    """Convert a value to another kind.

    Raises:
        DataError: The kind cannot represent it.
    """
    try:
        return None if value is None else converted(value, kind)
    except ValueError as error:
        raise DataError(
            f"{where}: got {value!r}, expected {error}, as in all other rows or in the training. "
            f"Correct it, leave it empty, or declare the column's type in [data.types]."
        ) from None


def fitting(value: Any, stream: TableStream, name: str) -> Any:
    """Convert a value that fills a column to the kind of the column in the file.

    Raises:
        DataError: The kind cannot represent it.
    """
    kind, where = stream.kind(name), f"{stream.path}, column {name!r}"
    if kind == "text" and isinstance(value, bool):
        return stream.truths(name)[value]
    if kind == "number" and isinstance(value, bool):
        return float(value)
    try:
        return converted(value, kind) if kind in SIMPLE else value
    except ValueError as error:
        raise DataError(
            f"{where}: the model fills in {value!r}, which is not {error}, as the others in this "
            f"column are. Give the column the type that the model was trained on."
        ) from None


DAMAGED = (
    OSError,
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    OverflowError,
    RecursionError,
)
"""What Arrow and ``datasets`` raise of damaged descriptions of data, besides their own errors."""


def first_line(error: BaseException) -> str:
    """The first line of an error's message, without its full stop."""
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(".") if lines else type(error).__name__

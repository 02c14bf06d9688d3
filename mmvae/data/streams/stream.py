"""Tables read and written in chunks of rows, so that neither is ever whole in memory.

Columns that nobody asks for pass through as they are: of Parquet and Arrow the values with their
types, of CSV and JSON lines what was written.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

Kind = Literal[
    "bool", "bools", "integer", "integers", "float", "floats", "text", "picture", "null", "other"
]
"""What a column holds: one value per row, lists of them, encoded pictures, nothing, or more."""


class Rows(ABC):
    """Some rows of a table."""

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def values(self, name: str) -> list[Any]:
        """A column's values, None where there is none."""


class TableStream(ABC):
    """A table in a file.

    Args:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    names: list[str]
    """Its columns."""

    total: int
    """Its rows."""

    @abstractmethod
    def chunks(self, size: int) -> Iterator[Rows]:
        """All rows, ``size`` at a time."""

    @abstractmethod
    def kind(self, name: str) -> Kind:
        """What a column holds."""

    def picture(self, name: str, encoded: bytes) -> Any:
        """An encoded picture as a column of pictures holds it."""
        return encoded

    @abstractmethod
    def writer(self, path: Path, changed: Mapping[str, Kind], added: Mapping[str, Kind]) -> Writer:
        """Where the same table goes with some columns of another type, and some more.

        Args:
            path: The file to write.
            changed: Column → its new type.
            added: New column → its type.

        Raises:
            UsageError: This kind of file cannot hold such a column.
        """


class Writer(ABC):
    """Takes chunks, in order; a context that closes the file."""

    @abstractmethod
    def write(self, rows: Rows, replaced: Mapping[str, Sequence[Any]]) -> None:
        """Write some rows with other values in some columns, new ones among them."""

    @abstractmethod
    def __enter__(self) -> Writer: ...

    @abstractmethod
    def __exit__(self, *error: object) -> None: ...


def first_line(error: BaseException) -> str:
    """The first line of what an error says, without its full stop."""
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(".") if lines else type(error).__name__

"""Columns: one modality's raw values from a source."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np

from mmvae.foundations.errors import UnsupportedValue
from mmvae.modalities.column_type import ColumnType

T = TypeVar("T")


class LazyValues(ABC):
    """Values that are read on demand, so that a column may be larger than memory."""

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def take(self, rows: Sequence[int] | np.ndarray[Any, Any]) -> LazyValues:
        """These rows in this order, still unread."""

    @abstractmethod
    def read(self) -> Any:
        """All values, as an array or a list."""


def row_index(rows: Sequence[int] | np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Row numbers as an index array, also if there are none."""
    index = np.asarray(rows)
    return index if len(index) else index.astype(np.int64)


@dataclass(frozen=True)
class Column:
    """One modality's raw values from a source.

    Attributes:
        values: A numpy array, a list, or a :class:`LazyValues`; length n. Codecs get arrays and
            lists, except in :meth:`Codec.fit`, which may get unread values.
        names: Class or attribute names that the source knows, in the order of the values' codes.
        origin: The origin of the values, for error messages: a file, a column of a table.
        present: Mask of the items that have the modality, bool (n,), or None if all have. Values
            of the others are arbitrary: no codec sees them.
        type: The type as which the cells of a table were read, if the values come from one.
    """

    values: Any
    names: tuple[str, ...] | None = None
    origin: str = ""
    present: np.ndarray[Any, Any] | None = None
    type: ColumnType | None = None

    def __len__(self) -> int:
        return len(self.values)

    def take(self, rows: Sequence[int] | np.ndarray[Any, Any]) -> Column:
        """The column of these rows, in this order."""
        index = row_index(rows)
        present = None if self.present is None else self.present[index]
        if isinstance(self.values, LazyValues):
            return replace(self, values=self.values.take(rows), present=present)
        if isinstance(self.values, (list, tuple)):
            return replace(self, values=[self.values[int(i)] for i in rows], present=present)
        return replace(self, values=self.values[index], present=present)

    @property
    def num_missing(self) -> int:
        """Number of items that lack the modality."""
        return 0 if self.present is None else int(len(self) - np.count_nonzero(self.present))

    @property
    def rows(self) -> np.ndarray[Any, Any]:
        """Rows of the items that have the modality, ascending."""
        return np.arange(len(self)) if self.present is None else np.flatnonzero(self.present)

    def without_missing(self) -> Column:
        """The column of the items that have the modality; the column itself if all have."""
        return self if self.present is None else replace(self.take(self.rows), present=None)

    def read(self) -> Column:
        """The same column with its values in memory."""
        if isinstance(self.values, LazyValues):
            return replace(self, values=self.values.read())
        return self

    def in_parts(self, use: Callable[[Column], T], rows: int = 4096) -> Iterator[T]:
        """Apply a function to the column part by part, so that it may be larger than memory.

        Args:
            use: Called with each part, in order and read.
            rows: Rows of a part; the last one may have fewer.

        Yields:
            What ``use`` returns for each part.

        Raises:
            UnsupportedValue: ``use`` raises it; the row is that in this column.
        """
        for start in range(0, len(self), rows):
            part = self.take(range(start, min(start + rows, len(self)))).read()
            try:
                found = use(part)
            except UnsupportedValue as error:
                raise error.after(start) from None
            yield found

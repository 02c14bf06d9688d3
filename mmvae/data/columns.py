"""Columns of a ``datasets.Dataset``, read on demand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mmvae.data.file_formats.table_stream import DAMAGED, first_line
from mmvae.data.source import Split
from mmvae.foundations.errors import DataError
from mmvae.modalities.column import Column, LazyValues, row_index
from mmvae.modalities.column_type import NULL_WORDS, ColumnType, Kind

READ = 4096
"""Number of values read at once."""


class TableColumn(LazyValues):
    """Some rows of one column of a ``datasets.Dataset``; pictures and sounds stay encoded.

    Args:
        dataset: The data set.
        name: The column.
        rows: The rows; default: all.
        whole: True if its numbers are integers that missing values made floats, as in CSV files.
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
        """See :meth:`mmvae.modalities.column.LazyValues.take`."""
        return TableColumn(self.dataset, self.name, self.rows[row_index(rows)], self.whole)

    def read(self) -> Any:
        """See :meth:`mmvae.modalities.column.LazyValues.read`.

        Raises:
            DataError: Python has no values for those of the column.
        """
        import pyarrow

        typed = self.dataset.format["type"] != "custom"  # a function, which may give anything
        column = self.dataset.select_columns([self.name])
        try:
            values = column[self.rows.tolist()][self.name]
        except (pyarrow.ArrowException, *DAMAGED) as error:
            if not typed:
                raise
            raise DataError(
                f"column {self.name!r}: its values cannot be read: {first_line(error)}. Correct "
                f"the column, convert it to numbers or texts, or use another one."
            ) from error
        values = as_array(values, typed)
        whole = self.whole and isinstance(values, np.ndarray) and np.isfinite(values).all()
        return values.astype(np.int64) if whole else values


class RefusedColumn(TableColumn):
    """Some rows of a column that cannot be read.

    Args:
        dataset: The data set.
        name: The column.
        why: The message.
        rows: See :class:`TableColumn`.
    """

    def __init__(
        self, dataset: Any, name: str, why: str, rows: np.ndarray[Any, Any] | None = None
    ) -> None:
        super().__init__(dataset, name, rows)
        self.why = why

    def take(self, rows: Sequence[int] | np.ndarray[Any, Any]) -> RefusedColumn:
        """See :meth:`mmvae.modalities.column.LazyValues.take`."""
        return RefusedColumn(self.dataset, self.name, self.why, self.rows[row_index(rows)])

    def read(self) -> Any:
        """Refuse it.

        Raises:
            DataError: Always.
        """
        raise DataError(self.why)


def table_split(
    dataset: Any,
    origin: str,
    types: Mapping[str, ColumnType] | None = None,
    refused: Mapping[str, str] | None = None,
) -> Split:
    """A ``datasets.Dataset`` as a split with lazily read columns; null is a missing value.

    Args:
        dataset: The data set.
        origin: Its name in messages.
        types: Column → the type as which it was read, if known.
        refused: Column that cannot be read → the message if it is used.
    """
    import datasets

    columns, types, refused = {}, types or {}, refused or {}
    present = {name: presence(dataset, name) for name in dataset.features}
    for name, feature in dataset.features.items():
        if isinstance(feature, datasets.Image) and feature.mode is not None:
            continue  # which converts pictures when it decodes them
        if isinstance(feature, (datasets.Image, datasets.Audio)):
            dataset = dataset.cast_column(name, type(feature)(decode=False))
    for name, feature in dataset.features.items():
        if name in refused:
            values = RefusedColumn(dataset, name, refused[name])
            columns[name] = Column(
                values, None, f"{origin}, column {name!r}", None, types.get(name)
            )
            continue
        names = getattr(feature, "names", None)
        columns[name] = Column(
            TableColumn(dataset, name, whole=present[name] is not None and whole(dataset, name)),
            tuple(names) if names else None,
            f"{origin}, column {name!r}",
            present[name],
            types.get(name),
        )
    return Split(columns, np.arange(len(dataset)))


def presence(dataset: Any, name: str) -> np.ndarray[Any, Any] | None:
    """Mask of the rows with a value other than null and NaN, bool (n,); None if all have one."""
    column = dataset.with_format("arrow").data.column(name)
    null = column.is_null(nan_is_null=True).to_numpy().astype(bool) | without_values(column)
    rows = dataset._indices
    if rows is not None:
        null = null[rows.column(0).to_numpy()]
    return ~null if null.any() else None


def without_values(column: Any) -> np.ndarray[Any, Any]:
    """Mask of the rows of an Arrow column with only null and NaN in lists or a structure.

    Lists may be of any depth; structures are those of ``datasets`` for files: bytes and a path.
    """
    import pyarrow.compute

    found = [np.zeros(0, bool)]
    for part in column.chunks:
        if pyarrow.types.is_struct(part.type) and part.type.num_fields:
            lacking = [field.is_null().to_numpy(zero_copy_only=False) for field in part.flatten()]
            found.append(np.logical_and.reduce(lacking))
            continue
        owner, cells = np.arange(len(part)), part
        while is_list(cells.type):  # of each cell the row that it belongs to, level by level
            owner = owner[pyarrow.compute.list_parent_indices(cells).to_numpy()]
            cells = pyarrow.compute.list_flatten(cells)
        if cells is part:
            return np.zeros(len(column), bool)
        known = ~cells.is_null(nan_is_null=True).to_numpy(zero_copy_only=False)
        all_, filled = (np.bincount(rows, minlength=len(part)) for rows in (owner, owner[known]))
        found.append((all_ > 0) & (filled == 0))
    return np.concatenate(found)


def is_list(kind: Any) -> bool:
    """True for Arrow types of lists."""
    from pyarrow import types

    return bool(types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind))


def whole(dataset: Any, name: str) -> bool:
    """True if a column of floats holds only integers, apart from missing values.

    Floats from 2^52 on are no integers, because they may be other numbers rounded.
    """
    import pyarrow
    import pyarrow.compute

    column = dataset.with_format("arrow").data.column(name)
    if not pyarrow.types.is_floating(column.type):
        return False
    compute, column = pyarrow.compute, column.cast("float64")  # 16-bit floats are not rounded
    equal = compute.equal(column, compute.trunc(column))
    integral = compute.and_(equal, compute.less(compute.abs(column), 2.0**52))
    return bool(compute.all(compute.or_(integral, compute.is_nan(column))).as_py())


def as_array(values: Sequence[Any], typed: bool = False) -> Any:
    """Numbers, or arrays and lists of them of one shape, as one array; else a list.

    Args:
        values: The values.
        typed: True if they are known not to mix truth values and numbers, as in Arrow columns.
    """
    values = [from_tensor(v) if hasattr(v, "detach") else v for v in values]
    if not values or not isinstance(values[0], (int, float, np.generic, np.ndarray, list, tuple)):
        return values
    if not typed and bool in (found := cell_types(values)) and len(found) > 1:
        return values  # NumPy would convert True to 1
    try:
        array = np.asarray(values)
    except ValueError:  # of different shapes
        return values
    if array.dtype.kind == "f" and all(isinstance(v, int) for v in values):  # too large for NumPy
        return values
    return array if array.dtype.kind in "biufc" else values


def cell_types(values: Sequence[Any]) -> set[type]:
    """The types of cells in lists and arrays, of any depth; those of NumPy's booleans are bool."""
    found: set[type] = set(map(type, values))
    for value in values if found & {list, tuple, np.ndarray} else ():
        if isinstance(value, np.ndarray):
            found.add(value.dtype.type)
        elif isinstance(value, (list, tuple)):
            found |= cell_types(value)
    return {bool if kind is np.bool_ else kind for kind in found - {list, tuple, np.ndarray}}


def column_type(column: Column) -> ColumnType:
    """The type of a column without missing values, with the null words that are texts of it."""
    known = column.type or type_of(column)
    if known.kind != "text" or known.words is not None:
        return known
    return ColumnType("text", frozenset(null_words(column)))


def type_of(column: Column) -> ColumnType:
    """The type of a column, inferred from its values."""
    if len(column) == 0:
        return ColumnType("null")
    values = column.take([0]).read().values
    value = values[0].item() if isinstance(values[0], np.generic) else values[0]
    if isinstance(value, int) and not isinstance(value, bool) and column.names:
        return ColumnType("code")
    kinds: tuple[tuple[type | tuple[type, ...], Kind], ...] = (
        (bool, "boolean"),
        (int, "integer"),
        (float, "number"),
        (str, "text"),
        (bytes, "picture"),
        ((list, tuple, np.ndarray), "list"),
    )
    return ColumnType(next((kind for known, kind in kinds if isinstance(value, known)), "other"))


def null_words(column: Column) -> set[str]:
    """The texts of a column that are words for a missing value elsewhere, read in chunks."""
    found: set[str] = set()
    for start in range(0, len(column), READ):
        part = column.take(range(start, min(start + READ, len(column)))).read()
        found |= NULL_WORDS.intersection(v for v in part.values if isinstance(v, str))
    return found


def from_tensor(values: Any) -> np.ndarray[Any, Any]:
    """A tensor as an array; 16-bit types that NumPy lacks become 32-bit types."""
    import torch

    if values.layout is not torch.strided:
        raise ValueError(
            f"a tensor of layout {values.layout}, expected a dense one; convert it with to_dense()"
        )
    values = values.detach().cpu()
    array: np.ndarray[Any, Any] = (
        values.float() if values.dtype == torch.bfloat16 else values
    ).numpy()
    return array

"""Cells: raw vectors in any of the forms that sources give, read into one matrix.

A cell that an item lacks is NaN in the matrix, whether it was NaN, None or masked; an item that
lacks the whole vector is a row of NaN.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from mmvae import Column, UnsupportedValue, listed, written_number

Array = np.ndarray[Any, Any]

LARGEST = float(np.finfo(np.float32).max)
"""Maximum absolute value: models compute in float32, where a larger number would be infinite."""

NUMBER = "a finite number (in float32), or NaN where there is none"


def read(column: Column, names: Sequence[str]) -> Array:
    """Read vectors into float64 (n, cells), NaN where a cell is not observed.

    Args:
        column: An array (n, cells) or (n,), perhaps masked, or a list of rows: numbers, sequences
            of numbers and None, or None.
        names: Names of the cells, as many as a vector has.

    Raises:
        UnsupportedValue: A row has another length, or a cell is not a finite number.
    """
    cells = matrix(column.values, len(names))
    if cells.shape[1] != len(names):
        raise UnsupportedValue(
            None, f"vectors of {cells.shape[1]} cells", f"{len(names)}: {listed(names)}"
        )
    refuse(cells, np.abs(cells) > LARGEST, names)
    return cells


EXACT = 2**53
"""Integers above this are not all exact as floats."""


def doubts(column: Column) -> Iterator[tuple[int, str]]:
    """Rows with integers whose last digits are lost in floats: ids, times in ns."""
    values = column.values
    whole = isinstance(values, np.ndarray) and values.dtype.kind in "iu"
    if not whole and not isinstance(values, (list, tuple)):
        return
    for row, value in enumerate(values):
        cells = value if isinstance(value, (list, tuple, np.ndarray)) else (value,)
        if any(isinstance(c, (int, np.integer)) and abs(int(c)) > EXACT for c in cells):
            yield row, "whole numbers beyond 2^53, whose last digits are lost: are they ids?"


EXACT_32 = 2**24
"""Integers above this are not all exact as floats of 32 bits."""


def rounded(cells: Array) -> Iterator[tuple[int, str]]:
    """Rows of (n, cells) with large numbers that float32 rounds, for cells that are unchanged."""
    large = np.abs(cells) > EXACT_32
    for row in np.flatnonzero((large & (cells.astype(np.float32) != cells)).any(1)):
        yield (
            int(row),
            ("numbers beyond 2^24, whose last digits are lost in float32: set standardise = true"),
        )


def refuse(cells: Array, bad: Array, names: Sequence[str]) -> None:
    """Refuse cells (n, cells) if any are ``bad``, naming the first.

    Raises:
        UnsupportedValue: A cell is bad.
    """
    if bad.any():
        row, a = (int(i) for i in np.argwhere(bad)[0])
        raise UnsupportedValue(
            row,
            f"{cells[row, a]:g} for {names[a]!r}",
            NUMBER,
            "Correct it, or write NaN or null for a value that is not known.",
        )


def matrix(values: Any, width: int | None = None) -> Array:
    """Raw values → float64 (n, cells), for all types of numbers; no columns if all are missing.

    Args:
        values: See :func:`read`.
        width: Number of cells of each vector of a list; default: that of the first one.

    Raises:
        UnsupportedValue: A value is not a number, or a row is shorter or longer than others.
    """
    if isinstance(values, np.ma.MaskedArray) and values.dtype.kind in "iuf":
        values = np.ma.filled(values.astype(np.float64), np.nan)
    if not isinstance(values, np.ndarray) or values.dtype == object:
        return _stacked(list(values), width)
    if values.ndim not in (1, 2) or values.dtype.kind not in "iuf":
        raise UnsupportedValue(
            None,
            f"{values.dtype} values of shape {values.shape}",
            "numbers of shape (n, cells) or (n,)",
        )
    columns = values.astype(np.float64)[:, None] if values.ndim == 1 else values.astype(np.float64)
    return columns if len(columns) else np.zeros((0, width or 0))


def is_single(values: Any) -> bool:
    """True if rows are bare numbers rather than vectors."""
    if isinstance(values, np.ndarray) and values.dtype != object:
        return values.ndim == 1
    return not any(isinstance(row, (list, tuple, np.ndarray)) for row in values)


def _from_texts(rows: list[Any]) -> list[Any]:
    """Convert texts in rows to numbers, such as ``+7`` and ``007``.

    Raises:
        UnsupportedValue: A text is not a number; it is named.
    """
    found = []
    for i, row in enumerate(rows):
        try:
            found.append(written_number(row) if isinstance(row, str) else row)
        except ValueError as error:
            raise UnsupportedValue(
                i,
                repr(row),
                NUMBER,
                "One such cell makes a table's whole column text. Correct it, or leave it empty.",
            ) from error
    return found


def _stacked(rows: list[Any], width: int | None) -> Array:
    rows = _from_texts(rows)
    vectors = [None if _is_missing(row) else _floats(row, i) for i, row in enumerate(rows)]
    if width is None:
        width = next((len(v) for v in vectors if v is not None), 0)
    cells = np.full((len(rows), width), np.nan)
    for i, vector in enumerate(vectors):
        if vector is None:
            continue
        if len(vector) != width:
            raise UnsupportedValue(
                i,
                f"a vector of {len(vector)} cells",
                f"{width} in every row",
                "Write null for a missing vector, and NaN or null for a missing cell.",
            )
        cells[i] = vector
    return cells


def _is_missing(row: Any) -> bool:
    """True if an item lacks the whole vector; a DataFrame writes NaN for it."""
    return row is None or (isinstance(row, float) and math.isnan(row))


def _floats(row: Any, i: int) -> Array:
    try:
        return np.array(_vector(row, i), np.float64)
    except OverflowError:
        raise UnsupportedValue(i, "a whole number of more than 300 digits", NUMBER) from None


def _vector(row: Any, i: int) -> Sequence[float]:
    """One raw row as numbers, NaN for None."""
    if isinstance(row, np.ndarray):
        row = row.tolist()
    cells = list(row) if isinstance(row, (list, tuple)) else [row]
    if {type(cell) for cell in cells} <= {int, float}:
        return cells
    for cell in cells:
        number = isinstance(cell, (int, float, np.integer, np.floating))
        if cell is not None and (isinstance(cell, bool) or not number):
            raise UnsupportedValue(i, repr(cell), NUMBER)
    return [np.nan if cell is None else float(cell) for cell in cells]

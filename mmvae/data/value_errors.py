"""A codec's errors about values, as errors that name modality, place and item."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from mmvae.foundations.errors import LONG, DataError, UnsupportedValue, short, shortened
from mmvae.modalities.codec import Codec
from mmvae.modalities.column import Column

REFUSALS = (TypeError, ValueError)
"""The errors that libraries such as torch raise on values that they cannot take."""


@contextmanager
def refusals(
    modality: str, kind: str, column: Column, ids: Any = None, find: FindRow | None = None
) -> Iterator[None]:
    """Convert a codec's errors on a column's values to a DataError.

    Args:
        modality: The modality of the column.
        kind: The codec's kind.
        column: The values.
        ids: Their items; default: row numbers.
        find: Finds the row if the codec does not name it.

    Raises:
        DataError: The codec raised UnsupportedValue, another ValueError or a TypeError.
    """
    try:
        yield
    except UnsupportedValue as error:
        raise unsupported(modality, column, error, ids) from error
    except REFUSALS as error:
        row = None if find is None else find(column)
        raise refused(modality, kind, column, error, row, ids) from error


def unsupported(
    modality: str, column: Column, error: UnsupportedValue, ids: Any = None
) -> DataError:
    """Convert an UnsupportedValue to a DataError that names the value's item."""
    return DataError(f"{place(modality, column, error.row, ids)}: {error.said}")


def refused(
    modality: str, kind: str, column: Column, error: Exception, row: int | None, ids: Any = None
) -> DataError:
    """Convert another error to a DataError, with the value if it is known."""
    said = f"{type(error).__name__}: {shortened(str(error), LONG)}".rstrip(".")
    where = place(modality, column, row, ids)
    if row is None:
        return DataError(
            f"{where}: codec {kind!r} refused it without saying which value ({said}). "
            f"Correct the values, or choose another codec for this modality."
        )
    value = column.take([row]).read().values[0]
    text = "One cell that is no number makes a table's column text. " * isinstance(value, str)
    return DataError(
        f"{where}: got {short(value)}, which codec {kind!r} refused without saying what it "
        f"expects ({said}). {text}Correct the value, or choose another codec for this modality."
    )


def place(modality: str, column: Column, row: int | None = None, ids: Any = None) -> str:
    """``"items.csv, column 'a': item 7, modality 'a'"``, as far as it is known."""
    origin = f"{column.origin}: " if column.origin else ""
    item = "" if row is None else f"item {ids[row] if ids is not None else row}, "
    return f"{origin}{item}modality {modality!r}"


FindRow = Callable[[Column], int | None]


def refused_row(codec: Codec) -> FindRow:
    """A search for a row that a codec refuses to prepare even alone; None if there is none."""

    def find(column: Column) -> int | None:
        low, high = 0, len(column)
        while high - low > 1:
            middle = (low + high) // 2
            if raises(codec, column.take(range(low, middle))):
                high = middle
            elif raises(codec, column.take(range(middle, high))):
                low = middle
            else:
                return None
        return low if high > low and raises(codec, column.take([low])) else None

    return find


def raises(codec: Codec, column: Column) -> bool:
    """True if a codec refuses these values."""
    try:
        codec.prepare(column)
    except REFUSALS:
        return True
    return False

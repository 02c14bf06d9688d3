"""Imputed values in the columns of an Arrow or Parquet file."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation, localcontext
from typing import Any

from mmvae.data.file_formats.arrow_types import (
    brief,
    kind_of,
    leaves,
)
from mmvae.data.file_formats.table_stream import (
    TableStream,
    first_line,
    fitting,
)
from mmvae.foundations.errors import DataError


def replaced(column: Any, values: Mapping[int, Any], stream: TableStream, name: str) -> Any:
    """An Arrow column with other values in some rows.

    Raises:
        DataError: A value is not of the column's kind.
        ArrowException: It does not fit its type.
    """
    if not values:
        return column
    import numpy as np
    import pyarrow as pa
    from pyarrow import types

    if types.is_string_view(column.type) or types.is_binary_view(column.type):
        # Arrow takes no rows of views
        copy = column.cast(pa.string() if types.is_string_view(column.type) else pa.binary())
        return replaced(copy, values, stream, name).cast(column.type)
    index = np.arange(len(column))
    index[list(values)] = len(column) + np.arange(len(values))
    new = array([encoded(v, column.type, stream, name) for v in values.values()], column.type)
    return pa.chunked_array([*column.chunks, new], column.type).combine_chunks().take(index)


def widened(column: Any, kind: Any, where: str) -> Any:
    """An Arrow column in the type that it needs for filled values.

    Raises:
        DataError: The type cannot hold one of its values.
    """
    import pyarrow as pa

    if column.type == kind:
        return column
    try:
        return column.cast(kind)
    except pa.ArrowException as error:
        raise DataError(
            f"{where}: its type {brief(column.type)} has to become {brief(kind)} for the values "
            f"that the model fills in, but this type cannot hold all of its values: "
            f"{first_line(error)}. Leave the column out, or convert it to {brief(kind)} if the "
            f"last digits do not matter."
        ) from error


def array(values: list[Any], kind: Any) -> Any:
    """Values as an Arrow array of a type."""
    import pyarrow as pa
    from pyarrow import types

    if types.is_dictionary(kind):
        return array(values, kind.value_type).dictionary_encode().cast(kind)
    texts = kind_of(kind) in ("date", "timestamp")
    return pa.array(values).cast(kind) if texts else pa.array(values, kind)


def encoded(value: Any, kind: Any, stream: TableStream, name: str) -> Any:
    """A value in the form that an Arrow type needs.

    Raises:
        DataError: It is not of the type's kind.
    """
    from pyarrow import types

    if types.is_dictionary(kind):
        return encoded(value, kind.value_type, stream, name)
    if types.is_decimal(kind):
        return decimal(value, fitting(value, stream, name), kind, stream, name)
    if isinstance(value, bytes) and types.is_struct(kind):
        return {"bytes": value, "path": None}
    found = fitting(value, stream, name)
    check_range(found, kind, stream, name)
    return found


def check_range(value: Any, kind: Any, stream: TableStream, name: str) -> None:
    """Refuse numbers, or lists of them, that Arrow would write as infinite in a type of floats.

    Raises:
        DataError: A finite number is outside the type's range.
    """
    import numpy as np
    from pyarrow import types

    leaf = next(leaves(kind))
    if not types.is_floating(leaf):
        return
    dtype = leaf.to_pandas_dtype()
    numbers = np.asarray(value, np.float64).ravel()
    with np.errstate(over="ignore"):
        lost = np.isfinite(numbers) & np.isinf(numbers.astype(dtype))
    if lost.any():
        most = float(np.finfo(dtype).max)
        raise DataError(
            f"{stream.path}, column {name!r}: the model fills in {numbers[lost][0]:g}, expected "
            f"a number from {-most:g} to {most:g}, the range of its type {brief(kind)}. Convert "
            f"the column to a wider type, such as double."
        )


def decimal(value: Any, number: Any, kind: Any, stream: TableStream, name: str) -> Decimal:
    """A value as a decimal of an Arrow type: a number is rounded to it, a text is exact.

    Args:
        value: The value.
        number: The same as a number, in which a text may have lost digits.
        kind: The type.
        stream: The table, for messages.
        name: The column.

    Raises:
        DataError: The type has too few digits for it.
    """
    text = isinstance(value, str)
    with localcontext(prec=1000):
        try:
            exact = Decimal(value.strip() if text else str(number))
            found = exact.quantize(Decimal(1).scaleb(-kind.scale))
        except InvalidOperation:
            found = None
    if found is None or (text and found != exact):
        raise DataError(
            f"{stream.path}, column {name!r}: the model fills in {value!r}, which its type {kind} "
            f"cannot hold. Give the column the type that the model was trained on."
        )
    if found.is_finite() and found.adjusted() >= kind.precision - kind.scale and found:
        digits = kind.precision - kind.scale
        raise DataError(
            f"{stream.path}, column {name!r}: the model fills in {value!r}, expected a number "
            f"that rounds to at most {digits} digits before the point, as its type {kind} says. "
            f"Convert the column to a wider type, such as double."
        )
    return found

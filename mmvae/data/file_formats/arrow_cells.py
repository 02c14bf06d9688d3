"""Imputed values in the columns of an Arrow or Parquet file."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation, localcontext
from typing import Any

from mmvae.data.file_formats.arrow_types import (
    brief,
    kind_of,
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
    return fitting(value, stream, name)


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
    return found

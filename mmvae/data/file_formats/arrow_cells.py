"""Imputed values in the columns of an Arrow or Parquet file."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from mmvae.data.file_formats.arrow_types import (
    kind_of,
)
from mmvae.data.file_formats.table_stream import (
    TableStream,
    fitting,
)


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
        number = Decimal(str(fitting(value, stream, name)))
        return number.quantize(Decimal(1).scaleb(-kind.scale))
    if isinstance(value, bytes) and types.is_struct(kind):
        return {"bytes": value, "path": None}
    return fitting(value, stream, name)

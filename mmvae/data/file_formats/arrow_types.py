"""Types of Arrow columns: which are read, and as what."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mmvae.data.file_formats.table_stream import DAMAGED, first_line
from mmvae.modalities.column_type import Kind


def kind_of(kind: Any) -> Kind:
    """The kind of values of an Arrow type."""
    from pyarrow import types

    if types.is_dictionary(kind):
        return kind_of(kind.value_type)
    if is_list(kind):
        inner = kind_of(kind.value_type)
        return "list" if inner in ("integer", "number", "list", "null") else "other"
    if types.is_struct(kind):  # encoded files as datasets holds them, with their paths
        return "picture" if kind.get_field_index("bytes") >= 0 else "other"
    tests: tuple[tuple[Kind, tuple[Any, ...]], ...] = (
        ("null", (types.is_null,)),
        ("boolean", (types.is_boolean,)),
        ("integer", (types.is_integer,)),
        ("number", (types.is_floating, types.is_decimal)),
        ("text", (types.is_string, types.is_large_string, types.is_string_view)),
        ("picture", (types.is_binary, types.is_large_binary, types.is_binary_view)),
        ("date", (types.is_date,)),
        ("timestamp", (types.is_timestamp,)),
    )
    return next((word for word, known in tests if any(test(kind) for test in known)), "other")


def is_list(kind: Any) -> bool:
    """True for Arrow types of lists."""
    from pyarrow import types

    tests = (types.is_list, types.is_large_list, types.is_fixed_size_list)
    return any(test(kind) for test in tests)


def plain_type(kind: Any) -> Any:
    """The Arrow type as which a column is read; see :func:`plain`."""
    import pyarrow as pa
    from pyarrow import types

    if types.is_dictionary(kind):
        return plain_type(kind.value_type)
    if types.is_decimal(kind):
        return pa.float64()
    if kind_of(kind) in ("text", "date", "timestamp"):
        return pa.string()
    return pa.binary() if types.is_binary_view(kind) else kind


def plain(column: Any) -> Any:
    """An Arrow column in one of a few types: dictionaries as values, dates as ISO texts."""
    import pyarrow.compute as pc
    from pyarrow import types

    wanted = plain_type(column.type)
    if types.is_struct(column.type):
        return null_where_empty(column)
    if column.type == wanted:
        return column
    if types.is_dictionary(column.type):
        return plain(column.cast(column.type.value_type))
    if types.is_date64(column.type):
        column = column.cast("date32")
    if types.is_decimal(column.type):
        return floats(column)
    texts = column.cast(wanted)
    if not types.is_timestamp(column.type):
        return texts
    texts = pc.replace_substring(texts, " ", "T", max_replacements=1)
    return pc.replace_substring_regex(texts, r"\.0+(Z|[+-].*)?$", r"\1")


def floats(column: Any) -> Any:
    """A column of decimals as floats of 64 bits.

    A decimal with a fraction is no integer as a float either, so that labels do not merge. If the
    nearest float is an integer, it gets the next one towards 0, which is none below 2^52.
    """
    import numpy as np
    import pyarrow as pa

    found = column.cast(pa.float64())
    if column.type.scale <= 0 or column.type.precision <= FLOAT_DIGITS:
        return found
    values = found.to_numpy()
    whole = np.flatnonzero(values == np.trunc(values))
    cells = column.take(whole).to_pylist()
    lost = [row for row, cell in zip(whole, cells, strict=True) if cell != int(cell)]
    if not lost:
        return found
    values = values.copy()
    values[lost] = np.nextafter(values[lost], 0)
    return pa.chunked_array([pa.array(values, from_pandas=True)])


def null_where_empty(column: Any) -> Any:
    """A column of structures, null where they are empty, e.g. for a missing picture."""
    import pyarrow as pa
    import pyarrow.compute as pc

    parts = []
    for part in column.chunks:
        fields = [part.type.field(i) for i in range(part.type.num_fields)]
        without_values = part.is_null()
        cells = part.flatten()
        if cells:
            nothing = cells[0].is_null()
            for cell in cells[1:]:
                nothing = pc.and_(nothing, cell.is_null())
            without_values = pc.or_(without_values, nothing)
        parts.append(pa.StructArray.from_arrays(cells, fields=fields, mask=without_values))
    return pa.chunked_array(parts, column.type)


def wider(current: Any, filled: Any) -> Any:
    """The type of a column whose missing values are filled.

    A column of nulls takes the type of the new values, and a column of integers that of numbers,
    since means of integers need not be integers.
    """
    import pyarrow as pa
    from pyarrow import types

    if types.is_null(current):
        return filled
    if types.is_dictionary(current):
        return pa.dictionary(
            current.index_type, wider(current.value_type, filled), current.ordered
        )
    if types.is_integer(current) and types.is_floating(filled):
        return filled
    lists = is_list(current) and is_list(filled)
    if lists and wider(current.value_type, filled.value_type) != current.value_type:
        return filled
    return current


def retyped(before: Any, after: Any) -> dict[str, tuple[str, str]]:
    """Column with values whose type differs in a second schema → its types in both."""
    from pyarrow import types

    return {
        field.name: (brief(field.type), brief(after.field(field.name).type))
        for field in before
        if not types.is_null(field.type) and after.field(field.name).type != field.type
    }


def is_readable(kind: Any) -> bool:
    """True if columns of an Arrow type can be read; others are only written as they are."""
    from pyarrow import types

    if types.is_dictionary(kind):
        inner = kind.value_type
        return not (types.is_nested(inner) or types.is_dictionary(inner)) and is_readable(inner)
    if types.is_timestamp(kind):
        return has_known_zone(kind)
    inner = list(leaves(kind))
    if any(map(is_unrepresentable, inner)) or any(k != kind and is_weightless(k) for k in inner):
        return False
    return is_described(plain_type(kind))


def has_known_zone(kind: Any) -> bool:
    """True for an Arrow type of timestamps whose time zone, if any, Arrow can look up."""
    import pyarrow as pa

    try:
        pa.array([0], kind).cast(pa.string())
    except pa.ArrowException:
        return False
    return True


def is_unrepresentable(kind: Any) -> bool:
    """True for Arrow types with values for which Python has none: durations and timestamps.

    Columns of timestamps are read as texts; those in lists and structures are not.
    """
    from pyarrow import types

    return bool(types.is_duration(kind) or types.is_timestamp(kind) or types.is_interval(kind))


def is_weightless(kind: Any) -> bool:
    """True for Arrow types whose values take no bytes, so that a list may claim any number."""
    from pyarrow import types

    empty = types.is_fixed_size_binary(kind) and kind.byte_width == 0
    return bool(types.is_null(kind) or empty or (types.is_struct(kind) and not kind.num_fields))


def leaves(kind: Any) -> Iterator[Any]:
    """The Arrow types of the innermost values of a type: of lists, structures and dictionaries."""
    from pyarrow import types

    if is_list(kind) or types.is_dictionary(kind):
        yield from leaves(kind.value_type)
    elif kind.num_fields:  # structures, maps and others
        for number in range(kind.num_fields):
            yield from leaves(kind.field(number).type)
    else:
        yield kind


def refusal(path: Path, name: str, kind: Any) -> str:
    """The message on a column of a type that cannot be read, for when it is used."""
    return (
        f"{path}, column {name!r}: its type {brief(kind)} is not read; expected numbers, texts, "
        f"booleans, dates, timestamps of a known time zone, encoded pictures, or lists of "
        f"numbers. Convert the column to one of these, or use another one."
    )


def brief(kind: Any) -> str:
    """The name of an Arrow type, cut if it is long."""
    text = str(kind)
    return text if len(text) <= 100 else f"{text[:99]}…"


def is_described(kind: Any) -> bool:
    """True if ``datasets`` can describe an Arrow type."""
    import datasets
    import pyarrow as pa

    try:
        datasets.Features.from_arrow_schema(pa.schema([("column", kind)]))
    except DAMAGED:
        return False
    return True


def describable(schema: Any) -> Any:
    """A schema without the columns that ``datasets`` cannot describe."""
    import pyarrow as pa

    return pa.schema([f for f in schema if is_described(f.type)], schema.metadata)


def described(before: Any, after: Any) -> Any:
    """A schema whose metadata for ``datasets``, if there are any, know of its columns."""
    known = features(before)
    if not known:
        return after
    import datasets

    described = describable(after)
    plain = datasets.Features.from_arrow_schema(described.remove_metadata())
    every = datasets.Features(
        {
            f.name: known[f.name]
            if f.name in known and before.field(f.name).type == f.type
            else plain[f.name]
            for f in described
        }
    )
    return after.with_metadata({**(before.metadata or {}), **(every.arrow_schema.metadata or {})})


def features(schema: Any) -> Mapping[str, Any]:
    """The notes of ``datasets`` on the columns of a schema; empty if it did not write it.

    Raises:
        ValueError: The note is damaged.
    """
    if HUGGINGFACE not in (schema.metadata or {}):
        return {}
    import datasets
    import pyarrow as pa

    try:
        found = datasets.Features.from_arrow_schema(describable(schema))
        found.arrow_schema  # noqa: B018 (which fails if the note has sizes beyond 64 bits)
        for column, feature in found.items():
            names = getattr(feature, "names", None) or []
            if isinstance(names, str) or not all(isinstance(name, str) for name in names):
                raise ValueError(f"the names of classes of column {column!r} are no list of texts")
        return dict(found)
    except (pa.ArrowException, *DAMAGED) as error:
        raise ValueError(
            f"what datasets noted of its columns is damaged ({first_line(error)})"
        ) from error


FLOAT_DIGITS = 15
"""Number of digits that every decimal keeps as a float of 64 bits."""

HUGGINGFACE = b"huggingface"
"""Key of the metadata in which ``datasets`` notes classes, pictures and sounds."""

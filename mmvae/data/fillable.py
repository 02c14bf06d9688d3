"""Tables that ``impute`` would refuse, remarked before a model is trained on them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from mmvae.data.columns import READ
from mmvae.data.source import Split
from mmvae.foundations.errors import UnsupportedValue
from mmvae.modalities.codec import Codec
from mmvae.modalities.column import Column

EXACT = 2**53
"""Whole numbers beyond this are not all exact as floats of 64 bits."""


def marks_of(column: str) -> str:
    """The name of the column that marks the filled values of another one."""
    return f"{column}_filled"


def unfillable(
    codecs: Mapping[str, Codec], columns: Mapping[str, str], items: Split
) -> Iterator[tuple[str, str]]:
    """Modalities whose column ``impute`` would refuse, each with the reason.

    Args:
        codecs: Modality → its fitted codec.
        columns: Modality → its column.
        items: The items.
    """
    for m, codec in codecs.items():
        marks = marks_of(columns[m])
        if marks in items.columns:
            yield (
                m,
                f"the table has a column {marks!r}, the name that 'mmvae impute' gives to the "
                f"marks of filled values, so that it will refuse such tables; rename that column "
                f"if you want to impute",
            )
        others = [
            other for other, column in columns.items() if column == columns[m] and other != m
        ]
        if others:
            yield (
                m,
                f"modality {others[0]!r} reads column {columns[m]!r}, too, so that 'mmvae impute' "
                f"will refuse tables with that column: both would fill its cells",
            )
        column = items.columns[columns[m]]
        if is_written(column.origin) and column.num_missing and has_empty_texts(codec):
            yield (
                m,
                f"column {columns[m]!r} has missing values, and a model may fill in empty texts, "
                f"which a CSV file cannot tell from missing ones, so that 'mmvae impute' may "
                f"refuse the table; to impute, write it as Parquet or JSON lines",
            )
        if is_real(codec) and has_large_integers(items.columns[columns[m]]):
            yield (
                m,
                f"column {columns[m]!r} has whole numbers beyond 2^53, whose last digits are lost "
                f"as floats of 64 bits, so that 'mmvae impute' will refuse such a column of "
                f"Parquet or Arrow; if they are ids, leave them out",
            )


def is_written(origin: str) -> bool:
    """True if a column, by its origin, is one of a CSV or TSV file."""
    return any(f"{ending}," in origin.lower() for ending in (".csv", ".tsv"))


def has_empty_texts(codec: Codec) -> bool:
    """True for a codec of texts that restores the empty one."""
    kind = codec.column_type
    if kind is None or kind.kind != "text" or codec.classes is not None:
        return False
    try:
        prepared = codec.prepare(Column([""]))[0]
    except UnsupportedValue:
        return False
    return list(codec.restore(codec.to_input(prepared)).values) == [""]


def is_real(codec: Codec) -> bool:
    """True if a codec of numbers or vectors, read from numbers or lists, restores floats."""
    kind = codec.column_type
    vectors = len(codec.event_shape) <= 1
    if kind is None or kind.kind not in ("integer", "list") or not vectors:
        return False
    values = codec.restore(codec.missing(1)).values
    return isinstance(values, np.ndarray) and values.dtype.kind == "f"


def has_large_integers(column: Column) -> bool:
    """True if a column, read in chunks, has integers that are not exact as floats."""
    known = column.without_missing()
    for start in range(0, len(known), READ):
        values = known.take(range(start, min(start + READ, len(known)))).read().values
        if isinstance(values, np.ndarray) and values.dtype.kind == "f":
            return False  # as are all other values of the column
        if is_large(values):
            return True
    return False


def is_large(value: Any) -> bool:
    """True for an integer beyond 2^53, and for arrays and lists, of any depth, that hold one."""
    if isinstance(value, np.ndarray) and value.dtype != object:
        whole = value.dtype.kind in "iu" and value.size > 0
        return whole and max(int(value.max()), -int(value.min())) > EXACT
    if isinstance(value, (list, tuple, np.ndarray)):
        return any(map(is_large, value))
    return isinstance(value, (int, np.integer)) and abs(int(value)) > EXACT

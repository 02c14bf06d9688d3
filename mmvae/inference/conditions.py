"""Conditions: a user's values of given modalities as encoder input."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mmvae.data.in_memory import as_column
from mmvae.data.value_errors import refusals
from mmvae.data.written_cells import as_text, converted
from mmvae.foundations.errors import LONG, DataError, short, shortened
from mmvae.modalities.codec import Codec
from mmvae.modalities.column import Column


def condition(codec: Codec, modality: str, column: Column) -> Tensor:
    """Convert a user's values to encoder input (n, event…), with the fill value where missing.

    Args:
        codec: The fitted codec of the modality.
        modality: Its name, for messages.
        column: The values.

    Raises:
        DataError: The codec does not accept a value.
    """
    value = column.values
    if len(column) == 0:
        raise DataError(f"given {modality}: no value; expected at least one.")
    if column.num_missing:
        x = codec.missing(len(column))
        if len(column.rows):
            x[torch.from_numpy(column.rows)] = condition(codec, modality, column.without_missing())
        return x
    try:
        with refusals(modality, codec.kind, column, find=_only_row):
            x = codec.condition(column)
    except DataError as error:
        raise DataError(f"{error}{_advice(codec, column)}") from error.__cause__
    wanted = (len(column), *codec.event_shape)
    if tuple(x.shape) != wanted:
        raise DataError(
            f"given {modality} = {short(value)}: codec {codec.kind!r} made of it a condition "
            f"of shape {tuple(x.shape)}, expected {wanted}.{_advice(codec, column)}"
        )
    if not torch.isfinite(x).all():
        raise DataError(f"given {modality} = {short(value)}: not finite; expected finite numbers.")
    return x


def given_column(codec: Codec, modality: str, value: Any) -> Column:
    """Convert one value or n values from a user to a column.

    Raises:
        DataError: A text that the codec cannot read, or no values at all.
    """
    try:
        if isinstance(value, str):
            return replace(codec.parse(as_in_files(codec, value)), origin="given")
        single = not hasattr(value, "__len__") or not (has_missing(value) or np.ndim(value) > 0)
    except ValueError as error:
        said = shortened(str(error), LONG)
        raise DataError(f"given {modality} = {short(value)}: {said}") from error
    return replace(as_column([value] if single else value, "given"), origin="given")


def as_in_files(codec: Codec, text: str) -> str:
    """A typed value as the cell of a file is read: ``01`` is 1 where the column holds numbers."""
    kind = codec.column_type.kind if codec.column_type else "text"
    if kind not in ("integer", "number", "boolean"):
        return text
    try:
        return str(as_text(converted(text.strip(), kind)))
    except (ValueError, OverflowError):  # no single value of that kind: the codec reports it
        return text


def has_missing(value: Any) -> bool:
    """True if these are n values of which some are None."""
    return isinstance(value, (list, tuple)) and any(one is None for one in value)


def _only_row(column: Column) -> int | None:
    return 0 if len(column) == 1 else None


def _advice(codec: Codec, column: Column) -> str:
    """Advice for a refused flat list that may be meant as one vector."""
    flat = isinstance(column.values, np.ndarray) and column.values.ndim == 1
    if not (flat and len(column) > 1 and codec.event_shape):
        return ""
    return " A list holds one value per item: wrap a single vector in a list, [[…]]."

"""Raw values for the checks of codecs: unread, far out, compared."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from torch import Tensor

from mmvae.foundations.errors import LONG
from mmvae.modalities.column import Column, LazyValues


def differing_rows(raw: Any, back: Any, observed: Tensor | None) -> list[int] | None:
    """Rows of raw values that restored ones do not equal.

    Args:
        raw: Raw values.
        back: The restored ones.
        observed: See :meth:`mmvae.Codec.prepare`.

    Returns:
        The rows; None if the two are not both real numbers of one shape, or both texts.
    """
    if all(isinstance(value, str) for value in (*raw, *back)):
        return [row for row, (a, b) in enumerate(zip(raw, back, strict=True)) if a != b]
    arrays = [raw, back]
    if not all(isinstance(a, np.ndarray) and a.dtype.kind == "f" for a in arrays):
        return None
    if raw.shape != back.shape or np.isinf(raw).any() or np.isnan(raw).all():
        return None
    level = (np.nanmax(raw) - np.nanmin(raw)) / 255 + 1e-5 * np.abs(raw)  # float32 has 7 digits
    far = np.abs(raw.astype(np.float64) - back) > level  # False where raw values are NaN
    if observed is not None and observed.numel() == far.size:
        far &= observed.cpu().numpy().reshape(far.shape)
    return [row for row in range(len(far)) if far[row].any()]


def far_columns(column: Column) -> list[Column]:
    """Columns of two values far from the others; none if raw values are not real numbers."""
    raw = column.values
    if not isinstance(raw, np.ndarray) or raw.dtype.kind != "f" or not raw.size:
        return []
    centre, spread = np.nanmean(raw, 0), np.nanstd(raw, 0)
    spread = np.where(spread > 0, spread, 1.0)
    pairs = [
        np.stack([centre + times * spread, centre + 1.2 * times * spread])
        for times in (10, -10, 1000, -1000)
    ]
    return [Column(pair.astype(raw.dtype), names=column.names) for pair in pairs]


def typed(values: Any) -> Iterator[tuple[int, str]]:
    """Rows of restored values, each with a text as someone may type it."""
    for row, value in enumerate(values):
        yield row, str(value)
        if isinstance(value, (list, np.ndarray)) and 0 < np.size(value) <= LONG:
            yield row, ",".join(map(str, np.ravel(value).tolist()))


def named_in_part(
    cells: Sequence[float], names: Sequence[str] | None
) -> Iterator[tuple[str, list[int]]]:
    """Texts that name some cells of one value, each with the cells that it names.

    Args:
        cells: The value.
        names: Names of its cells, if it has any.
    """
    if names is not None and len(names) == len(cells):
        for cell in sorted({0, len(cells) - 1}):
            yield f"{names[cell]}={cells[cell]}", [cell]
    if len(cells) <= LONG:
        yield ",".join(map(str, cells[:-1])), list(range(len(cells) - 1))


class Unread(LazyValues):
    """A column's values, handed out only when they are read."""

    def __init__(self, column: Column) -> None:
        self._column = column

    def __len__(self) -> int:
        return len(self._column)

    def take(self, rows: Sequence[int] | np.ndarray[Any, Any]) -> Unread:
        """See :meth:`mmvae.modalities.column.LazyValues.take`."""
        return Unread(self._column.take(rows))

    def read(self) -> Any:
        """See :meth:`mmvae.modalities.column.LazyValues.read`."""
        return self._column.values

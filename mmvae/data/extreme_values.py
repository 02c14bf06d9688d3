"""Extreme values: numbers far from all others, e.g. a fill value such as -9999 or 9.97e36.

One of them determines the scale of its whole column, or makes a term overflow.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from mmvae.data.batches import prepare
from mmvae.data.dataset import Data, at_once, chunks
from mmvae.data.source import Split
from mmvae.foundations.errors import NonFinite
from mmvae.modalities.codec import Codec
from mmvae.modalities.column import Column

Array = np.ndarray[Any, Any]

FAR = 1000.0
"""Number of deviations from the median beyond which a number is extreme."""

SAMPLE = 4096
"""Number of training items, evenly spaced, that the medians are computed on."""

RARE = 0.02
"""Minimum share of cells off the median for an estimate of the usual deviation."""

NAMED = 5
"""Maximum number of items that are named, per split and modality."""


@dataclass(frozen=True)
class Extremes:
    """The extreme numbers of one modality in one split.

    Attributes:
        items: Ids of the items that hold one, the first :data:`NAMED`.
        count: Number of such items.
        value: The most extreme number.
        item: Its item.
        median: Median of its cell over training items.
        times: Its distance from the median in usual deviations.
    """

    items: tuple[Any, ...]
    count: int
    value: float
    item: Any
    median: float
    times: float

    def description(self) -> str:
        """The extreme values, as a phrase."""
        more = "" if self.count == 1 else f"; {self.count} items hold such values: "
        listed = "" if self.count == 1 else ", ".join(map(str, self.items))
        cut = ", …" if self.count > len(self.items) else ""
        return (
            f"{self.value:g} lies {self.times:.1e} times as far from the median "
            f"{self.median:g} of the training items as is usual{more}{listed}{cut}. If it marks "
            f"a missing value, leave the cell empty"
        )


def extremes(split: Split, train: Split, column: str, codec: Codec) -> Extremes | None:
    """The extreme numbers of a column; None if there are none, or it holds no measured numbers.

    Args:
        split: The items to check.
        train: The training items, which define the usual range.
        column: The column.
        codec: Its codec; classes are not measured numbers.
    """
    if codec.classes is not None or not numeric(train.columns[column]):
        return None
    known, most = train.columns[column].rows, at_once(SAMPLE, [codec])
    few = known[np.linspace(0, len(known) - 1, min(len(known), most)).astype(np.int64)]
    sample = numbers(train.columns[column].take(few))
    if sample is None or not np.isfinite(sample).any():
        return None
    median, usual = spread(sample)
    rows, farthest, first = [], 0.0, (0, 0.0, 0.0)
    done = 0
    for part in chunks(split, [codec]):
        there = part.columns[column].rows
        cells = numbers(part.columns[column].take(there)) if len(there) else None
        if cells is not None and cells.shape[1] == len(median):
            with np.errstate(over="ignore", invalid="ignore"):
                away = np.where(np.isfinite(cells), np.abs(cells - median) / usual, 0.0)
            rows += (done + there[away.max(1, initial=0.0) > FAR]).tolist()
            row, cell = np.unravel_index(int(away.argmax()), away.shape)
            if away[row, cell] > farthest:
                farthest = float(away[row, cell])
                first = done + int(there[row]), float(cells[row, cell]), float(median[cell])
        done += len(part)
    if not rows:
        return None
    ids = np.asarray(split.ids)
    item, value, centre = first
    named = tuple(ids[row] for row in rows[:NAMED])
    return Extremes(named, len(rows), value, ids[item], centre, farthest)


def all_extremes(data: Data) -> Iterator[tuple[str, str, Extremes]]:
    """Yield split, modality and its extreme numbers, for the splits of a source."""
    train = data.splits["train"]
    for name, split in data.splits.items():
        for m, codec in data.codecs.items():
            found = extremes(split, train, data.columns[m], codec)
            if found is not None:
                yield name, m, found


def extreme_items(data: Data) -> list[str]:
    """A sentence for each modality and split with extreme numbers."""
    return [
        f"Item {found.item} of the {name} split, modality {m!r}: {found.description()}."
        for name, m, found in all_extremes(data)
    ]


@contextmanager
def naming_items(data: Data) -> Iterator[None]:
    """Make errors about terms that are not finite name items, modalities and values.

    Raises:
        NonFinite: As the block; it names the item of the term, and the extreme values.
    """
    try:
        yield
    except NonFinite as error:
        first = [_first_item(error, data)] if error.rows else []
        found = extreme_items(data)
        remedy = [*found, "`mmvae data check` lists them all."] if found else [error.remedy]
        raise NonFinite(" ".join([error.message, *first, *remedy])) from error


def _first_item(error: NonFinite, data: Data) -> str:
    """The first item with a term that is not finite, and its largest model input."""
    row = error.rows[0]
    split = {str(name): items for name, items in data.splits.items()}[error.split]
    largest: dict[str, float] = {}
    for m, codec in data.codecs.items():
        column = split.columns[data.columns[m]].take([row])
        if not column.num_missing:
            x, observed = prepare(m, codec, column, [split.ids[row]])
            given = codec.to_input(x).abs()
            largest[m] = float((given if observed is None else given[observed]).max())
    m = max(largest, key=lambda name: largest[name])
    more = f" and {len(error.rows) - 1} more" if len(error.rows) > 1 else ""
    return (
        f"It is that of item {split.ids[row]}{more} of the {error.split} split; the largest model "
        f"input of that item is {largest[m]:.3g}, of modality {m!r}."
    )


def spread(cells: Array) -> tuple[Array, Array]:
    """Median of each cell (n, c) → (c,), and the usual distance from it.

    That is the distance within which half of the items lie, or half of those that differ from the
    median if most are equal to it.
    """
    finite = np.where(np.isfinite(cells), cells, np.nan)
    empty = np.isnan(finite).all(0)
    median = np.nanmedian(np.where(empty, 0.0, finite), axis=0)
    away = np.abs(finite - median)
    usual = np.nanmedian(np.where(empty, 0.0, away), axis=0)
    for cell in np.flatnonzero(usual == 0):
        off = away[:, cell][away[:, cell] > 0]
        common = len(off) > RARE * len(cells)
        usual[cell] = np.quantile(off, 0.25) if common else max(abs(median[cell]), 1.0)
    return median, usual


def numeric(column: Column) -> bool:
    """True if the first value is a number or holds some; pictures and texts are not read."""
    if not len(column.rows):
        return False
    value = column.take(column.rows[:1]).read().values[0]
    if isinstance(value, np.ndarray):
        return value.dtype.kind in "iuf" and value.dtype.itemsize > 1
    if isinstance(value, (list, tuple)):
        return all(isinstance(cell, (int, float, type(None))) for cell in value)
    return isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)


def numbers(column: Column) -> Array | None:
    """The values of a column as float64 (n, cells); None if they are not numbers."""
    read = column.read().values
    if isinstance(read, np.ndarray) and read.dtype.kind not in "iuf":
        return None
    try:
        values = np.asarray(read, dtype=np.float64)
    except (TypeError, ValueError):
        return None
    return values.reshape(len(values), -1)

"""The claims of a study: paired differences of rows, compared with thresholds and publications."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np

from mmvae.experiments.study.packing import Array
from mmvae.experiments.study.record import Record
from mmvae.experiments.study.study import Claim

Verdict = Literal["yes", "no", "not clear"]

CLEAR = 2.0
"""Minimum distance from a threshold, in standard errors, of a clear verdict."""

FEW = 5.0
"""Effective sample size below which an estimate is unsettled: more samples would raise it."""


@dataclass(frozen=True)
class Finding:
    """One value of a claim, compared with its threshold.

    Attributes:
        rows: The rows' labels, from the worse to the better; or the one row.
        value: Their paired difference, or the row's value, in nats per item.
        error: Its standard error over items; None for a single item.
        expected: ``"≥ 1"`` or ``"< −500"``.
        verdict: The verdict; not clear within two standard errors of the threshold, or without an
            error.
        effective: Mean effective sample size of each row's estimate, None if it is not known.
    """

    rows: tuple[str, ...]
    value: float
    error: float | None
    expected: str
    verdict: Verdict
    effective: tuple[float | None, ...] = ()

    @property
    def settled(self) -> bool:
        """True if every estimate has many effective samples, so that more would not change it."""
        return all(e is None or e >= FEW for e in self.effective)


def findings(claim: Claim, records: Mapping[str, Record]) -> list[Finding]:
    """The findings of the records on a claim; rows without a record are left out.

    Args:
        claim: The claim.
        records: Row → its results, all of the same items.
    """
    if claim.rising is not None:
        pairs = pairwise(claim.rising)
        return [f for a, b in pairs if (f := _rise(claim, records.get(a), records.get(b)))]
    assert claim.row is not None
    assert claim.below is not None
    record = records.get(claim.row)
    cells = record.named(claim.cell) if record else []
    if record is None or not cells:
        return []
    value, error = spread(record.per_item(cells[0]))
    result = verdict(claim.below - value, error)
    has = (effective(record, cells[0]),)
    return [Finding((record.label,), value, error, f"< {number(claim.below)}", result, has)]


def _rise(claim: Claim, worse: Record | None, better: Record | None) -> Finding | None:
    if worse is None or better is None:
        return None
    ours, theirs = better.named(claim.cell), worse.named(claim.cell)
    if not (ours and theirs and same_items(worse, better)):
        return None
    value, error = spread(better.per_item(ours[0]) - worse.per_item(theirs[0]))
    result = verdict(value - claim.at_least, error)
    labels = (worse.label, better.label)
    has = (effective(worse, theirs[0]), effective(better, ours[0]))
    return Finding(labels, value, error, f"≥ {number(claim.at_least)}", result, has)


def same_items(a: Record, b: Record) -> bool:
    """True if two rows were evaluated on the same items, so that their nats can be paired."""
    return (a.data, a.split) == (b.data, b.split)


def effective(record: Record, name: str) -> float | None:
    """Mean effective sample size of a query."""
    found: float | None = record.cells[name].get("effective samples")
    return found


@dataclass(frozen=True)
class Order:
    """Two published values, compared with the order of ours.

    Attributes:
        cell: The query of both, without how z is sampled: ``image|label``.
        published: The higher published value minus the lower one, in nats per item.
        found: Our paired difference, from the lower to the higher, compared with 0.
    """

    cell: str
    published: float
    found: Finding


def orders(cells: Sequence[str], records: Sequence[Record]) -> list[Order]:
    """Compare the order of a table's published values with our nats of the same items.

    For each query, the values of rows that are neighbours in the published order; for each row,
    those by different samples. Equal published values have no order.

    Args:
        cells: The table's queries.
        records: The rows.
    """
    rows = [[(r, n) for n in _published(cells, r)] for r in records]
    columns = [[(r, n) for r in records for n in _published([cell], r)] for cell in cells]
    pairs = dict.fromkeys(
        ((worse.row, a), (better.row, b))
        for group in (*columns, *rows)
        for (worse, a), (better, b) in neighbours(group)
    )
    by_row = {record.row: record for record in records}
    return [
        _order(by_row[worse], a, by_row[better], b)
        for (worse, a), (better, b) in pairs
        if same_items(by_row[worse], by_row[better])
    ]


def _published(cells: Sequence[str], record: Record) -> list[str]:
    """The row's own names of the queries that both it and the publication have."""
    named = dict.fromkeys(name for cell in cells for name in record.named(cell))
    return [name for name in named if name in record.published]


Member = tuple[Record, str]
"""A row's value: its record, and the name of the query."""


def neighbours(group: Sequence[Member]) -> list[tuple[Member, Member]]:
    """Pairs of values that are neighbours in the published order, the lower first."""
    levels: dict[float, list[Member]] = {}
    for record, name in group:
        levels.setdefault(record.published[name], []).append((record, name))
    return [
        (worse, better)
        for low, high in pairwise(sorted(levels))
        for worse in levels[low]
        for better in levels[high]
    ]


def _order(worse: Record, a: str, better: Record, b: str) -> Order:
    value, error = spread(better.per_item(b) - worse.per_item(a))
    labels = (_sampled(worse, a), _sampled(better, b))
    has = (effective(worse, a), effective(better, b))
    found = Finding(labels, value, error, "≥ 0", verdict(value, error), has)
    return Order(a.partition("@")[0], better.published[b] - worse.published[a], found)


def _sampled(record: Record, name: str) -> str:
    """A row's label, with the sampling of z if there is a choice."""
    proposal = name.partition("@")[2]
    return f"{record.label} ({proposal})" if proposal else record.label


def verdict(margin: float, error: float | None) -> Verdict:
    """The verdict on a margin above 0, by at least two standard errors; not clear without any."""
    if error is None or abs(margin) < CLEAR * error:
        return "not clear"
    return "yes" if margin >= 0 else "no"


def spread(values: Array) -> tuple[float, float | None]:
    """Mean and standard error over items that have the value; a single item has no error."""
    values = values[~np.isnan(values)]
    n = len(values)
    return float(values.mean()), float(values.std(ddof=1)) / math.sqrt(n) if n > 1 else None


@dataclass(frozen=True)
class Figure:
    """One value of a row and the published one.

    Attributes:
        label: The row's name in tables.
        proposal: ``multiple``, ``single`` or a subset; empty if there is no choice.
        bound: True if it is a lower bound rather than an estimate.
        mean: Nats per item.
        error: Standard error over items; None for a single item.
        effective: Mean effective sample size.
        published: The published value, or None.
        given_from: The source of the samples for log p(x_G) of a conditional, or None.
    """

    label: str
    proposal: str
    bound: bool
    mean: float
    error: float | None
    effective: float | None
    published: float | None
    given_from: str | None

    @property
    def difference(self) -> float | None:
        """Our value minus the published one."""
        return None if self.published is None else self.mean - self.published

    def reached(self, tolerance: float) -> bool | None:
        """True if it is at most this many nats below the published value; None without one."""
        return None if self.difference is None else self.difference >= -tolerance


def figures(cells: Sequence[str], records: Sequence[Record]) -> list[Figure]:
    """The values of a table: row by row, each query that a row has, once."""
    found = []
    for record in records:
        names = dict.fromkeys(name for text in cells for name in record.named(text))
        found += [_figure(record, name) for name in names]
    return found


def _figure(record: Record, name: str) -> Figure:
    cell = record.cells[name]
    return Figure(
        label=record.label,
        proposal=name.partition("@")[2],
        bound=bool(cell["bound"]),
        mean=cell["mean"],
        error=cell["error"],
        effective=effective(record, name),
        published=record.published.get(name),
        given_from=cell.get("given from"),
    )


def number(value: float) -> str:
    """Format a number with a true minus sign."""
    return f"{value:g}".replace("-", "−")

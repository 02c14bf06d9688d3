"""What a study's figures show: paired differences of rows, and distances to published figures."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np

from mmvae.study.packing import Array
from mmvae.study.record import Record
from mmvae.study.study import Claim

Verdict = Literal["yes", "no", "not clear"]

CLEAR = 2.0
"""Standard errors by which a figure must miss a threshold to be clearly on one side of it."""


@dataclass(frozen=True)
class Finding:
    """One figure of a claim, held against its threshold.

    Attributes:
        rows: The rows' labels, from the worse to the better; or the one row.
        value: Their paired difference, or the row's figure, in nats per item.
        error: Its standard error over items; None of a single item.
        expected: ``"≥ 1"`` or ``"< −500"``.
        verdict: Whether it is so; not clear within two standard errors of the threshold, or
            without an error.
    """

    rows: tuple[str, ...]
    value: float
    error: float | None
    expected: str
    verdict: Verdict


def findings(claim: Claim, records: Mapping[str, Record]) -> list[Finding]:
    """What the records say of a claim; nothing of rows that are not there.

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
    told = verdict(claim.below - value, error)
    return [Finding((record.label,), value, error, f"< {number(claim.below)}", told)]


def _rise(claim: Claim, worse: Record | None, better: Record | None) -> Finding | None:
    if worse is None or better is None:
        return None
    ours, theirs = better.named(claim.cell), worse.named(claim.cell)
    same_items = (better.data, better.split) == (worse.data, worse.split)
    if not (ours and theirs and same_items):
        return None
    value, error = spread(better.per_item(ours[0]) - worse.per_item(theirs[0]))
    told = verdict(value - claim.at_least, error)
    labels = (worse.label, better.label)
    return Finding(labels, value, error, f"≥ {number(claim.at_least)}", told)


def verdict(margin: float, error: float | None) -> Verdict:
    """Whether a margin is above 0, by at least two standard errors; not clear without any."""
    if error is None or abs(margin) < CLEAR * error:
        return "not clear"
    return "yes" if margin >= 0 else "no"


def spread(values: Array) -> tuple[float, float | None]:
    """Mean and standard error over items that have the figure; a single item has no error."""
    values = values[~np.isnan(values)]
    n = len(values)
    return float(values.mean()), float(values.std(ddof=1)) / math.sqrt(n) if n > 1 else None


@dataclass(frozen=True)
class Figure:
    """One figure of a row beside the published one.

    Attributes:
        label: The row, as tables call it.
        proposal: ``multiple``, ``single`` or a subset; empty where there is no choice.
        bound: Whether it is a lower bound rather than an estimate.
        mean: Nats per item.
        error: Standard error over items; None of a single item.
        effective: Mean effective sample size.
        published: The published figure, or None.
        given_from: Where log p(x_G) of a conditional got its samples, or None.
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
        """Ours less the published one."""
        return None if self.published is None else self.mean - self.published

    def reached(self, tolerance: float) -> bool | None:
        """Whether it is at most so many nats below the published figure; None without one."""
        return None if self.difference is None else self.difference >= -tolerance


def figures(cells: Sequence[str], records: Sequence[Record]) -> list[Figure]:
    """The figures of a table: row by row, each cell that a row has, once."""
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
        effective=cell.get("effective samples"),
        published=record.published.get(name),
        given_from=cell.get("given from"),
    )


def number(value: float) -> str:
    """A number for people, with the minus sign of print."""
    return f"{value:g}".replace("-", "−")

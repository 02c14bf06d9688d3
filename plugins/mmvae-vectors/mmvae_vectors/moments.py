"""Moments: mean and standard deviation of each cell over the observed values."""

from __future__ import annotations

import functools
import operator
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mmvae import Column, UnsupportedValue
from mmvae_vectors.cells import Array, is_single, matrix, read

_FAR = 400
"""Powers of two whose squares, summed, float64 holds; larger and smaller distances are scaled."""


@dataclass(frozen=True)
class Moments:
    """The moments of some vectors, each array float64 (cells,).

    Attributes:
        count: Number of observed values of each cell.
        mean: Their mean.
        squares: Their summed squared distances from the mean, these in units of 2^power.
        power: A whole number for each cell, 0 unless squares would leave the range of float64.
        single: True if the raw rows are bare numbers rather than vectors.
    """

    count: Array
    mean: Array
    squares: Array
    power: Array
    single: bool

    @property
    def deviation(self) -> Array:
        """Standard deviation; 1 if all values are equal, so that one can divide by it."""
        scaled = np.sqrt(self.squares / np.maximum(self.count, 1))
        deviation = np.maximum(np.ldexp(scaled, self.power), np.finfo(np.float64).tiny)
        return np.where(scaled > 0, deviation, 1.0)

    @classmethod
    def of(cls, cells: Array, single: bool) -> Moments:
        """The moments of cells (n, cells), NaN where there is nothing.

        They are those of distances from the first value, which are 0 where all values are equal,
        and exact where these are large and close together.
        """
        seen = ~np.isnan(cells)
        count = seen.sum(0)
        first = np.where(count > 0, cells[seen.argmax(0), np.arange(cells.shape[1])], 0.0)
        away = np.where(seen, cells - first, 0.0)
        mean = away.sum(0) / np.maximum(count, 1)
        distance = np.where(seen, away - mean, 0.0)
        power = np.frexp(np.abs(distance).max(0, initial=0.0))[1]
        power = np.where(np.abs(power) > _FAR, power, 0)
        squares = (np.ldexp(distance, -power) ** 2).sum(0)
        return cls(count, first + mean, squares, power, single)

    def __add__(self, other: Moments) -> Moments:
        """The moments of both together (Chan, Golub and LeVeque, 1983)."""
        count = self.count + other.count
        apart = other.mean - self.mean
        share = other.count / np.maximum(count, 1)
        powers = np.frexp(apart)[1], self.power, other.power
        sizes = (np.abs(apart), self.squares, other.squares)
        exponents = [
            np.where(size > 0, p, -(1 << 20)) for size, p in zip(sizes, powers, strict=True)
        ]
        power = np.maximum.reduce(exponents)
        power = np.where((np.abs(power) > _FAR) & (power > -(1 << 20)), power, 0)
        ours, theirs = (np.ldexp(m.squares, 2 * (m.power - power)) for m in (self, other))
        between = np.ldexp(apart, -power) ** 2 * self.count * share
        single = self.single and other.single
        return Moments(count, self.mean + apart * share, ours + theirs + between, power, single)


def moments(column: Column, names: Sequence[str] | None) -> Moments:
    """The moments of a column that may be larger than memory, computed in chunks of rows.

    Args:
        column: The values, perhaps unread.
        names: Names of the cells, for errors; default: their positions.

    Raises:
        UnsupportedValue: There is no vector at all, or a value is refused.
    """
    known = list(names or ())

    def of(part: Column) -> Moments | None:
        """The moments of some rows; None while all values are missing, and no width is known."""
        width = len(known) or matrix(part.values).shape[1]
        known.extend(str(a) for a in range(len(known), width))
        return Moments.of(read(part, known), is_single(part.values)) if known else None

    found = (part for part in column.in_parts(of) if part is not None)
    first = next(found, None)
    if first is None:
        raise UnsupportedValue(None, "no vector in the training split", "at least one")
    return functools.reduce(operator.add, found, first)

"""Tails: log p far beyond all draws has no floor.

A constant below exp(−20) adds nothing to an integral over a grid, but it is no density, and it
hides how unlikely an item is. Heavy tails fall too, by (ν + 1) log 10 nats for each power of ten;
a density of angles is periodic, and varies. So a tail is wrong if it is constant.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from mmvae.foundations.errors import short
from mmvae.testing.contract import not_tried, require
from mmvae.testing.goodness import Density

DRAWS = 200
"""Draws from whose range distances are counted."""

POWERS = range(30, 2, -1)
"""Distances that are tried, as powers of ten times the range of the draws, the farthest first."""

FARTHEST = 3
"""Number of the farthest valid values whose log p is compared."""

LARGEST = 1e37
"""Largest value that is tried: float32 holds no more than 3.4e38."""

LOWEST = -1e30
"""Log p below which a constant may be the end of float32."""


def has_no_floor(
    density: Density, like: Tensor, holds: Callable[[Tensor], bool], known: Tensor | None = None
) -> None:
    """Check that log p is not constant where one cell goes far beyond all draws.

    Args:
        density: The density.
        like: A valid value, (1, event…), for the other cells.
        holds: A function that is true if a value, (1, event…), is in the support.
        known: All values of a small support, (k, event…). A density may read a value that is none
            of them as one of them.

    Raises:
        ContractBroken: It is constant.
        SkipTest: The support has no such values.
    """
    drawn, tried = density.sample(DRAWS).flatten(1), 0
    spared = None if known is None else density.nats(known)
    for cell in sorted({0, drawn.shape[1] // 2, drawn.shape[1] - 1}):
        for sign in (-1.0, 1.0):
            far = list(_far(drawn[:, cell].double(), sign, like, cell, holds))
            if len(far) < 2:
                continue
            tried += 1
            nats = density.nats(torch.cat(far))
            constant = bool(((nats - nats[0]).abs() <= 1e-6 * nats[0].abs()).all())
            another = spared is not None and bool((spared == nats[0]).any())
            ends = " and ".join(f"{float(x.flatten()[cell]):.1g}" for x in (far[-1], far[0]))
            wants = f"log_prob that differs between the values {ends} of cell {cell}, far from "
            wants += "all draws"
            remedy = "A floor under log p is no density, and hides how unlikely a value is."
            floored = constant and float(nats[0]) > LOWEST and not another
            require(not floored, wants, f"{short(float(nats[0]))} for both", remedy)
    if not tried:
        not_tried("no valid value lies far from the draws")


def _far(
    draws: Tensor, sign: float, like: Tensor, cell: int, holds: Callable[[Tensor], bool]
) -> Iterator[Tensor]:
    """The farthest valid values on one side, (1, event…) each, the farthest first."""
    centre = float(draws.median())
    spread = float((draws - centre).abs().max()) or 1.0
    found = 0
    for power in POWERS:
        value = centre + sign * spread * 10.0**power
        if found == FARTHEST:
            return
        if math.isfinite(value) and 100 < abs(value) <= LARGEST:
            x = like.clone()
            x.flatten(1)[:, cell] = float(round(value))  # whole, so that it may be a count
            if _valid(holds, x):
                found += 1
                yield x


def _valid(holds: Callable[[Tensor], bool], x: Tensor) -> bool:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # an overflow on the way
        try:
            return holds(x)
        except Exception:  # no value that the codec can hold, whatever it raises
            return False

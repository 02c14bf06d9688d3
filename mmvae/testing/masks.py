"""Check of unobserved cells: log p of some cells and log p of the others add up to the whole."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor
from torch.distributions import Distribution

from mmvae.foundations.errors import short
from mmvae.modalities.codec import Codec
from mmvae.modalities.column import Column
from mmvae.testing.contract import needs, not_tried, require
from mmvae.testing.subject import REFUSALS, CodecSubject, input_of, likelihood_of

ITEMS = 32
"""Number of items; between a few, two cells may never differ together."""


class MaskChecks(CodecSubject):
    """Log p of the observed cells of an item."""

    @needs(
        "test_total_probability_is_one",
        "test_unobserved_cells_have_no_effect",
        "test_restore_undoes_prepare",
    )
    def test_observed_and_other_cells_add_up(self) -> None:
        """Log p of some cells plus log p of the others is log p of all, if these are independent.

        They are independent if log p of all cells is a sum of a term of the some and a term of the
        others: then exchanging cells between two items changes no total.
        """
        codec, _ = self.fitted()
        column = self.make_column(ITEMS, 0)
        x = input_of(codec, column)
        if x[0].numel() == 1:
            return
        likelihood, tried = likelihood_of(codec, len(x)), 0
        for name, some in _masks(x):
            try:
                first, others = (codec.log_prob(likelihood, x, m) for m in (some, ~some))
            except TypeError as refusal:
                not_tried(f"it refuses unobserved cells: {refusal}")
            if not _has_cells(column, x) and not (first.any() or others.any()):
                not_tried("raw values have no cells, and it leaves out incomplete items")
            if not _independent(codec, likelihood, x, some):
                continue
            tried += 1
            whole = codec.log_prob(likelihood, x, None)
            got = first + others
            wants = f"log_prob of {name} plus log_prob of the others to be that of all cells: "
            wants += short(whole.tolist())
            remedy = "log_prob is the sum of log p of the observed cells, and is not rescaled."
            room = 1e-4 * torch.stack([whole, first, others]).abs().amax(0) + 1e-3
            require(bool(((got - whole).abs() <= room).all()), wants, short(got.tolist()), remedy)
        if not tried:
            not_tried("its cells are not independent, or cannot be exchanged between items")


def _masks(x: Tensor) -> Iterator[tuple[str, Tensor]]:
    """Named masks of some cells, the same for each item, and others for some items."""
    cell = torch.arange(x[0].numel()).view(x.shape[1:]).expand_as(x)
    yield "the cell 0", cell == 0
    yield "every second cell", cell % 2 == 0
    item = torch.arange(len(x)).view(-1, *[1] * (x.dim() - 1))
    yield "some cells, others for each item,", (cell + item) % 3 == 0


def _has_cells(column: Column, x: Tensor) -> bool:
    """True if raw values are one real number for each cell, so that some may be missing."""
    raw = column.values
    return isinstance(raw, np.ndarray) and raw.dtype.kind in "iufb" and raw.size == x.numel()


def _independent(codec: Codec, likelihood: Distribution, x: Tensor, some: Tensor) -> bool:
    """True if log p of all cells is a sum of a term of some of them and a term of the others."""
    other = x.roll(1, 0)
    if not bool((x != other).any(0).all()):  # a cell that is the same for all shows nothing
        return False
    values = (x, other, torch.where(some, x, other), torch.where(some, other, x))
    if not all(_valid(codec, v) for v in values):
        return False
    a, b, c, d = (codec.log_prob(likelihood, v, None).detach().double() for v in values)
    room = 1e-5 * torch.stack([a, b, c, d]).abs().amax(0) + 1e-5
    return bool((((a - c) - (d - b)).abs() <= room).all())


def _valid(codec: Codec, x: Tensor) -> bool:
    """True if prepare reads the restored values as these: they lie in the support."""
    try:
        again = input_of(codec, codec.restore(x))
    except REFUSALS:
        return False
    return again.shape == x.shape and torch.allclose(again, x, rtol=1e-5, atol=1e-5)

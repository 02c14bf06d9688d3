"""The items of a split in chunks, as figures see them: the same at every call."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from mmvae.data.batches import Batch, Batches
from mmvae.foundations.randomness import ItemDraws, sample


def chunks(
    batches: Batches, size: int, seed: int, purpose: str = "evaluate"
) -> Iterator[tuple[Batch, ItemDraws]]:
    """Fixed views of all items, in order, with randomness for each chunk.

    Neither views nor draws depend on how the items are cut; views not on the seed either.

    Args:
        batches: The split.
        size: Items per chunk.
        seed: Governs the draws.
        purpose: What the draws are for.
    """
    return spanned(batches, slice(0, len(batches)), size, seed, purpose)


def spanned(
    batches: Batches, span: slice, size: int, seed: int, purpose: str = "evaluate"
) -> Iterator[tuple[Batch, ItemDraws]]:
    """As :func:`chunks`, for a span of the items alone."""
    for start in range(span.start, span.stop, size):
        items = slice(start, min(start + size, span.stop))
        yield batches.fixed(items), ItemDraws(seed, purpose, items, batches.device)


def sampled(
    batches: Batches, most: int, size: int, seed: int, purpose: str = "evaluate"
) -> Iterator[tuple[Batch, ItemDraws]]:
    """As :func:`chunks`, for at most so many of the items, chosen by ``seed`` and ``purpose``.

    Splits keep the order of their table, which may be sorted, so the first are no fair sample.
    Each item has the view and the draws that it has among all.
    """
    for items in torch.split(sample(len(batches), most, seed, purpose), size):
        yield batches.fixed(items), ItemDraws(seed, purpose, items, batches.device)

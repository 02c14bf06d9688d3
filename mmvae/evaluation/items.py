"""The items of a split in chunks, as evaluation uses them: the same at every call."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from mmvae.data.batches import Batch, Batches
from mmvae.foundations.randomness import ItemDraws, sample


def chunks(
    batches: Batches, size: int, seed: int, purpose: str = "evaluate"
) -> Iterator[tuple[Batch, ItemDraws]]:
    """Yield fixed views of all items, in order, with randomness for each chunk.

    Neither views nor draws depend on the chunk size. Views do not depend on the seed either.

    Args:
        batches: The split.
        size: Items per chunk.
        seed: Governs the draws.
        purpose: Names the use of the draws.
    """
    return spanned(batches, slice(0, len(batches)), size, seed, purpose)


def spanned(
    batches: Batches, span: slice, size: int, seed: int, purpose: str = "evaluate"
) -> Iterator[tuple[Batch, ItemDraws]]:
    """Yield the chunks of a span of the items; see :func:`chunks`."""
    for start in range(span.start, span.stop, size):
        items = slice(start, min(start + size, span.stop))
        yield batches.fixed(items), ItemDraws(seed, purpose, items, batches.device)


def sampled(
    batches: Batches, most: int, size: int, seed: int, purpose: str = "evaluate"
) -> Iterator[tuple[Batch, ItemDraws]]:
    """Yield chunks of at most ``most`` items, chosen by ``seed`` and ``purpose``.

    See :func:`chunks`. Splits keep the order of their table, which may be sorted, so the first
    items are no fair sample. Each item has the same view and draws as among all items.
    """
    for items in torch.split(sample(len(batches), most, seed, purpose), size):
        yield batches.fixed(items), ItemDraws(seed, purpose, items, batches.device)

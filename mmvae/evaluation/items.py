"""The items of a split in chunks, as figures see them: the same at every call."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from mmvae.data.batches import Batch, Batches, fixed_view
from mmvae.randomness import StepDraws


def chunks(
    batches: Batches, size: int, seed: int, purpose: str = "evaluate"
) -> Iterator[tuple[Batch, StepDraws]]:
    """Fixed views of all items, in order, with randomness for each chunk.

    Args:
        batches: The split.
        size: Items per chunk.
        seed: Governs views and draws.
        purpose: What the draws are for.
    """
    for chunk, start in enumerate(range(0, len(batches), size)):
        items = torch.arange(start, min(start + size, len(batches)))
        n = len(items)
        draws = StepDraws(seed, purpose, chunk, slice(0, n), n, batches.device)
        yield batches.batch(items, draws, fixed_view), draws

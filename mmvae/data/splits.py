"""Cut items into train, validation and test, by seed."""

from __future__ import annotations

import numpy as np

from mmvae.errors import DataError
from mmvae.randomness import generator
from mmvae.source import Split, SplitName


def split_items(items: Split, validation: float, test: float, seed: int) -> dict[SplitName, Split]:
    """Cut ``items`` at random into splits; a share of 0 leaves that split out.

    A share above 0 is rounded to whole items, and takes one at least.

    Args:
        items: All items.
        validation: Share of the items for validation, in [0, 1).
        test: Share of the items for test, in [0, 1).
        seed: The same seed gives the same splits.

    Raises:
        DataError: Too few items for the shares.
    """
    import torch

    n = len(items)
    order = torch.randperm(n, generator=generator(seed, "split")).numpy()
    n_test, n_validation = (
        max(1, round(n * share)) if share else 0 for share in (test, validation)
    )
    n_train = n - n_test - n_validation
    if n_train < 1:
        raise DataError(
            f"{n} items leave none for training with validation = {validation} and "
            f"test = {test}: lower the shares (0 leaves a split out) or bring more items."
        )
    parts: dict[SplitName, np.ndarray[tuple[int], np.dtype[np.int64]]] = {
        "train": np.sort(order[:n_train]),
        "validation": np.sort(order[n_train : n_train + n_validation]),
        "test": np.sort(order[n_train + n_validation :]),
    }
    return {name: items.take(rows) for name, rows in parts.items() if len(rows)}

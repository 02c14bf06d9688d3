"""Missing modalities: their patterns, and the minimum that training needs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from mmvae.data.source import Split
from mmvae.foundations.errors import DataError
from mmvae.modalities.subsets import Subset, subset_name

Patterns = dict[Subset, int]
"""Set of modalities that an item has → number of items with exactly these."""


def presence(split: Split, columns: Mapping[str, str]) -> np.ndarray[Any, Any]:
    """Mask of the modalities of each item, bool (n, N).

    Args:
        split: The items.
        columns: Modality → name of its column.
    """
    has = np.ones((len(split), len(columns)), bool)
    for k, column in enumerate(columns.values()):
        present = split.columns[column].present
        if present is not None:
            has[:, k] = present
    return has


def patterns(split: Split, columns: Mapping[str, str]) -> Patterns:
    """Number of items with each set of modalities, the most frequent first."""
    found, counts = np.unique(presence(split, columns), axis=0, return_counts=True)
    order = np.argsort(-counts, kind="stable")
    return {
        tuple(m for m, has in zip(columns, found[i], strict=True) if has): int(counts[i])
        for i in order
    }


def complete(split: Split, columns: Mapping[str, str]) -> Split:
    """The items that have every modality; the split itself if all have."""
    has = presence(split, columns).all(1)
    return split if has.all() else split.take(np.flatnonzero(has))


def not_empty(split: Split, columns: Mapping[str, str]) -> Split:
    """The items that have some modality; the split itself if all have."""
    has = presence(split, columns).any(1)
    return split if has.all() else split.take(np.flatnonzero(has))


def check_something(split: Split, columns: Mapping[str, str], where: str) -> None:
    """Refuse items without any modality.

    Args:
        split: The items.
        columns: Modality → name of its column.
        where: A description of the items, for the message.

    Raises:
        DataError: There are some; the first is named.
    """
    empty = np.flatnonzero(~presence(split, columns).any(1))
    if len(empty):
        more = f" (and {len(empty) - 1} more items)" if len(empty) > 1 else ""
        raise DataError(
            f"{where}: item {split.ids[int(empty[0])]}{more} has no observed modality: "
            f"{subset_name(tuple(columns)).replace('+', ', ')} are all missing. Expected at least "
            f"one modality per item. Leave such items out; for the data of a training, set "
            f"data.incomplete = 'discard-empty'."
        )


def check_training(train: Split, columns: Mapping[str, str]) -> None:
    """Refuse a modality that no training item has.

    Raises:
        DataError: There is one.
    """
    never = [m for m, column in columns.items() if not len(train.columns[column].rows)]
    if never:
        raise DataError(
            f"Modality {never[0]!r} (column {columns[never[0]]!r}): none of the {len(train)} "
            f"training items has it, so nothing can be learned about it. Leave it out of "
            f"[modalities], or check why its values are missing."
        )


def check_known(
    name: str, split: Split, columns: Mapping[str, str], sometimes: Mapping[str, bool]
) -> None:
    """Refuse items that lack a modality that all training items had: no posterior covers them.

    Args:
        name: The split.
        split: Its items.
        columns: Modality → name of its column.
        sometimes: Modality → True if items of the training split lack it.

    Raises:
        DataError: There are some.
    """
    for m, column in columns.items():
        if not sometimes[m] and (lacking := split.columns[column].num_missing):
            if name == "train":  # the codec comes from a run whose items all had this modality
                raise DataError(
                    f"Split 'train': {lacking} of {len(split)} items lack modality {m!r}, but the "
                    f"run was trained as if every item had it: on other data, or by an earlier "
                    f"version of mmvae that did not support missing modalities. Train it again, "
                    f"or leave incomplete "
                    f"items out with data.incomplete = 'discard'."
                )
            raise DataError(
                f"Split {name!r}: {lacking} of {len(split)} items lack modality {m!r}, which "
                f"every training item has, so the model does not support items without it. "
                f"Leave incomplete items out with data.incomplete = 'discard', or split the items "
                f"so that some of the training lack it too."
            )

"""The items of a source that a training can use."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from mmvae.data.missing import (
    complete,
    not_empty,
)
from mmvae.data.source import Source, Split
from mmvae.data.split_names import SplitName
from mmvae.foundations.errors import DataError


class NoCompleteItems(DataError):
    """A split has no item with every modality, but figures need some. Exit code 2.

    Args:
        reason: The split, without a full stop.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(
            f"{reason}. Figures of items need some that are complete, in the training split and "
            f"in the one that is shown. `mmvae embed` gives the latents of incomplete items, and "
            f"`mmvae report` draws all figures that need no items."
        )
        self.reason = reason


def usable(source: Source) -> Mapping[SplitName, Split]:
    """The splits of a source, which must include training.

    Raises:
        DataError: There is no training split.
    """
    splits = source.splits()
    if "train" not in splits:
        raise DataError(f"Source {source.kind!r} has no training split.")
    return splits


def without_discarded(
    source: Source, splits: Mapping[SplitName, Split], columns: Mapping[str, str]
) -> Mapping[SplitName, Split]:
    """The splits with only those items that ``data.incomplete`` keeps.

    Raises:
        DataError: A split has no such item.
    """
    if source.config.incomplete == "discard":
        return without_incomplete(source.kind, splits, columns)
    if source.config.incomplete == "keep":
        return splits
    wanted = f"any of {', '.join(columns)}. Check why the values of these columns are missing."
    return _with_items(source.kind, splits, columns, not_empty, wanted)


def without_incomplete(
    kind: str, splits: Mapping[SplitName, Split], columns: Mapping[str, str]
) -> Mapping[SplitName, Split]:
    """The splits of a source of this kind with their complete items only.

    Raises:
        DataError: A split has none.
    """
    wanted = (
        "every modality, and none would be left without the others. Set data.incomplete "
        "to 'keep' to train and evaluate on all."
    )
    return _with_items(kind, splits, columns, complete, wanted)


def only_complete(
    kind: str, splits: Mapping[SplitName, Split], columns: Mapping[str, str]
) -> Mapping[SplitName, Split]:
    """The same for figures.

    Raises:
        NoCompleteItems: A split has none.
    """
    kept = {name: complete(split, columns) for name, split in splits.items()}
    for name, split in kept.items():
        if not len(split):
            raise NoCompleteItems(
                f"Source {kind!r}, split {name!r}: none of its {len(splits[name])} items has "
                f"every modality"
            )
    return kept


def _with_items(
    kind: str,
    splits: Mapping[SplitName, Split],
    columns: Mapping[str, str],
    choose: Callable[[Split, Mapping[str, str]], Split],
    wanted: str,
) -> Mapping[SplitName, Split]:
    """The splits with the items that ``choose`` keeps; each must have some."""
    kept = {name: choose(split, columns) for name, split in splits.items()}
    for name, split in kept.items():
        if not len(split):
            raise DataError(
                f"Source {kind!r}, split {name!r}: none of its {len(splits[name])} items has "
                f"{wanted}"
            )
    return kept

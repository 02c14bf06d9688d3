"""From a source to batches: columns found, codecs fitted, splits prepared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import torch

from mmvae.codec import Codec, CodecConfig, State
from mmvae.data.batches import Batches, prepare
from mmvae.data.refusals import refusals
from mmvae.errors import ContractBroken, DataError, nearest
from mmvae.source import Source, Split, SplitName


@dataclass
class Data:
    """The splits of a source and the codecs fitted to its training split.

    Attributes:
        source: Where the items come from.
        splits: Split name → items.
        codecs: Modality → fitted codec, in the order of the configuration.
        columns: Modality → name of its column.
        device: Where batches are wanted.
    """

    source: Source
    splits: Mapping[SplitName, Split]
    codecs: Mapping[str, Codec]
    columns: Mapping[str, str]
    device: torch.device | str = "cpu"
    _batches: dict[str, Batches] = field(default_factory=dict)

    def batches(self, split: SplitName) -> Batches:
        """The prepared items of one split, made when first asked for.

        Raises:
            DataError: The source has no such split, or a value is outside its codec's support.
        """
        if split not in self.splits:
            raise DataError(
                f"Source {self.source.kind!r} has no split {split!r}; it has "
                f"{', '.join(self.splits)}. Name one of those (evaluate: -s evaluate.split="
                f"{next(iter(self.splits))}), or say in [data] where {split!r} comes from."
            )
        if split not in self._batches:
            items = self.splits[split]
            self._batches[split] = Batches(
                items, self.codecs, self.columns, self.device, self.fits(items)
            )
        return self._batches[split]

    def fits(self, split: Split) -> bool:
        """Whether a split stays resident: as configured, or by its size."""
        config = self.source.config
        if config.resident != "auto":
            return bool(config.resident)
        return self.item_bytes(split) * len(split) <= float(config.resident_gib) * 2**30

    def item_bytes(self, split: Split) -> float:
        """Bytes that one prepared item takes, measured on the first few."""
        rows = np.arange(min(len(split), 16))
        ids, total = np.asarray(split.ids)[rows], 0
        for modality, codec in self.codecs.items():
            few = split.columns[self.columns[modality]].take(rows)
            x, mask = prepare(modality, codec, few, ids)
            total += x.nbytes + (0 if mask is None else mask.nbytes)
        return total / len(rows)


def open_data(
    source: Source,
    recipes: Mapping[str, tuple[type[Codec], CodecConfig]],
    states: Mapping[str, State] | None = None,
    device: torch.device | str = "cpu",
) -> Data:
    """Read a source and fit one codec per modality to its training split.

    Args:
        source: The source.
        recipes: Modality → codec class and its validated config, in the configuration's order.
        states: Modality → what the codec learned before, from a run; then nothing is fitted.
        device: Where batches are wanted.

    Raises:
        DataError: No items, a missing column, columns of different length, or values that a
            codec refuses.
    """
    splits = source.splits()
    if "train" not in splits:
        raise DataError(f"Source {source.kind!r} has no training split.")
    columns = {name: config.column or name for name, (_, config) in recipes.items()}
    for name, split in splits.items():
        check_columns(source.kind, name, split, columns)
    codecs: dict[str, Codec] = {}
    for modality, (codec_class, config) in recipes.items():
        state = None if states is None else states[modality]
        codecs[modality] = fitted(
            modality, codec_class, config, splits["train"], columns[modality], state
        )
    return Data(source, splits, codecs, columns, device)


def fitted(
    modality: str,
    codec_class: type[Codec],
    config: CodecConfig,
    train: Split,
    column: str,
    state: State | None = None,
) -> Codec:
    """The codec of a modality, fitted to the training split unless its state is known.

    Raises:
        DataError: The codec refuses the column.
    """
    if state is None:
        values = train.columns[column]
        with refusals(modality, codec_class.kind, values, train.ids):
            state = codec_class(config).fit(values)
        if not isinstance(state, Mapping):
            got = f"Wanted fit to give a mapping of what it learned; got {state!r}."
            raise ContractBroken(got, codec_class.kind)
    return codec_class(config, state)


def check_columns(kind: str, name: str, split: Split, columns: Mapping[str, str]) -> None:
    """Check that a split has items, and every modality a column of that length.

    Raises:
        DataError: It has not.
    """
    n = len(split)
    if n == 0:
        raise DataError(f"Source {kind!r}, split {name!r}: it holds no items.")
    for modality, column in columns.items():
        if column not in split.columns:
            raise DataError(
                f"Source {kind!r}, split {name!r}: modality {modality!r} wants column {column!r}, "
                f"but there are {', '.join(split.columns)}.{nearest(column, split.columns)} "
                f"Name the column with modalities.{modality}.column."
            )
        length = len(split.columns[column])
        if length != n:
            raise DataError(
                f"Source {kind!r}, split {name!r}: column {column!r} has {length} values, "
                f"expected {n}, one per item."
            )

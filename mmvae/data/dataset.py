"""Preparation of data: find columns, fit codecs, prepare splits."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import torch

from mmvae.data.batches import Batches, prepare
from mmvae.data.columns import column_type
from mmvae.data.file_formats.csv_cells import other_separator
from mmvae.data.missing import (
    Patterns,
    check_known,
    check_something,
    check_training,
    complete,
    patterns,
)
from mmvae.data.source import Source, Split
from mmvae.data.split_names import SplitName
from mmvae.data.usable_items import only_complete, usable, without_discarded
from mmvae.data.value_errors import place, refusals
from mmvae.foundations.errors import DataError, nearest, short
from mmvae.modalities.codec import Codec
from mmvae.modalities.codec_config import CodecConfig
from mmvae.modalities.column import Column
from mmvae.modalities.names import is_name
from mmvae.modalities.recipe import HAS_MISSING, READ_AS, State

CHUNK = 500
"""Maximum number of items prepared at once."""

CELLS = 1 << 24
"""Maximum number of cells prepared at once, unless one item has more."""


@dataclass
class Data:
    """The splits of a source and the codecs fitted to its training split.

    Attributes:
        source: The source of the items.
        splits: Split name → items.
        codecs: Modality → fitted codec, in the order of the configuration.
        columns: Modality → name of its column.
        device: The device of the batches.
    """

    source: Source
    splits: Mapping[SplitName, Split]
    codecs: Mapping[str, Codec]
    columns: Mapping[str, str]
    device: torch.device | str = "cpu"
    _batches: dict[str, Batches] = field(default_factory=dict)

    def batches(self, split: SplitName) -> Batches:
        """The prepared items of one split, created on first use.

        Raises:
            DataError: The source has no such split, or a value is outside its codec's support.
        """
        if split not in self._batches:
            items = self.items(split)
            self._batches[split] = Batches(
                items, self.codecs, self.columns, self.device, self.fits(items)
            )
        return self._batches[split]

    def items(self, split: SplitName) -> Split:
        """The items of one split, not yet prepared.

        Raises:
            DataError: The source has no such split.
        """
        if split not in self.splits:
            raise DataError(
                f"Source {self.source.kind!r} has no split {split!r}; it has "
                f"{', '.join(self.splits)}. Name one of those (--split, or -s evaluate.split="
                f"{next(iter(self.splits))}), or say in [data] where {split!r} comes from."
            )
        return self.splits[split]

    def verify(self, split: SplitName) -> None:
        """Prepare all items of one split, a chunk at a time, and keep none of them.

        Items that :meth:`batches` has prepared already are left out.

        Raises:
            DataError: There is no such split, or a value is outside its codec's support.
        """
        if split in self._batches and self._batches[split].resident:
            return
        for part in chunks(self.items(split), self.codecs.values()):
            for modality, codec in self.codecs.items():
                try:
                    prepare(modality, codec, part.columns[self.columns[modality]], part.ids)
                except DataError as error:
                    raise DataError(f"Split {split!r}: {error}") from error

    @property
    def patterns(self) -> Patterns:
        """Set of modalities that a training item has → number of such items."""
        return patterns(self.splits["train"], self.columns)

    def lacking(self, split: SplitName) -> int:
        """Number of items of a split that lack a modality; 0 if there is no such split."""
        if split not in self.splits:
            return 0
        items = self.splits[split]
        return len(items) - len(complete(items, self.columns))

    def complete(self, names: Collection[SplitName]) -> Data:
        """Some splits without items that lack modalities; the same object if there are none.

        Raises:
            NoCompleteItems: One of these splits has no complete item.
        """
        wanted = {name: split for name, split in self.splits.items() if name in names}
        if not any(map(self.lacking, wanted)):
            return self
        splits = only_complete(self.source.kind, wanted, self.columns)
        return replace(self, splits=splits, _batches={})

    def fits(self, split: Split) -> bool:
        """True if a split stays resident: as configured, or by its size."""
        config = self.source.config
        if config.resident != "auto":
            return bool(config.resident)
        return self.item_bytes(split) * len(split) <= float(config.resident_gib) * 2**30

    def item_bytes(self, split: Split) -> float:
        """Bytes of one prepared item, measured on the first few."""
        rows = np.arange(min(len(split), at_once(16, self.codecs.values())))
        ids, total = np.asarray(split.ids)[rows], 0
        for modality, codec in self.codecs.items():
            few = split.columns[self.columns[modality]].take(rows)
            x, mask = prepare(modality, codec, few, ids)
            total += x.nbytes + (0 if mask is None else mask.nbytes)
        return total / len(rows)


def chunks(split: Split, codecs: Iterable[Codec]) -> Iterator[Split]:
    """A split in parts that fit in memory when they are prepared by these codecs."""
    size = at_once(CHUNK, codecs)
    for start in range(0, len(split), size):
        yield split.take(np.arange(start, min(start + size, len(split))))


def at_once(most: int, codecs: Iterable[Codec]) -> int:
    """Number of items, at most ``most``, whose values fit in memory together."""
    shapes = [codec.event_shape for codec in codecs]
    cells = sum(math.prod(s) for s in shapes if isinstance(s, tuple))  # others are refused later
    return max(1, min(most, CELLS // max(1, cells)))


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
        states: Modality → state of the codec from a run; then no codec is fitted.
        device: The device of the batches.

    Raises:
        DataError: No items, a missing column, columns of different length, an item or a modality
            without any observed value, or values that a codec refuses.
    """
    columns = {name: config.column or name for name, (_, config) in recipes.items()}
    splits = usable(source)
    for name, split in splits.items():
        check_columns(source.kind, name, split, columns)
    splits = without_discarded(source, splits, columns)
    check_training(splits["train"], columns)
    for name, split in splits.items():
        check_something(split, columns, f"Source {source.kind!r}, split {name!r}")
    codecs: dict[str, Codec] = {}
    for modality, (codec_class, config) in recipes.items():
        state = None if states is None else states[modality]
        codecs[modality] = fitted(
            modality, codec_class, config, splits["train"], columns[modality], state
        )
    sometimes = {m: codec.sometimes_missing for m, codec in codecs.items()}
    for name, split in splits.items():
        check_known(name, split, columns, sometimes)
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

    It is fitted to the items that have the modality. The core also records whether some lack it,
    and the type of the column.

    Raises:
        DataError: The codec refuses the column, or the source's names for it are none.
    """
    if state is None:
        values = train.columns[column]
        check_names(modality, values)
        incomplete, ids = values.num_missing > 0, np.asarray(train.ids)[values.rows]
        with refusals(modality, codec_class.kind, values, ids):
            state = codec_class(config).fit(values.without_missing())
        if incomplete:
            state = {**state, HAS_MISSING: True}
        if kind := column_type(values.without_missing()):
            state = {**state, READ_AS: [kind.kind, *sorted(kind.words or ())]}
    return codec_class(config, state)


def check_names(modality: str, column: Column) -> None:
    """Check a source's names of the classes or cells of a column.

    Raises:
        DataError: A name is no text, empty, occurs twice, or contains half a surrogate pair.
    """
    names = column.names or ()
    counts = Counter(name for name in names if is_name(name))
    for name in names:
        if not is_name(name) or counts[name] > 1:
            what = f"{counts[name]} times" if is_name(name) else "which is no name"
            raise DataError(
                f"{place(modality, column)}: the source names its classes or cells, one of them "
                f"{short(name)}, {what}; expected valid texts that are not empty, each once. "
                f"Rename it in the data."
            )


def check_columns(kind: str, name: str, split: Split, columns: Mapping[str, str]) -> None:
    """Check that a split has items, and every modality a column of that length.

    Raises:
        DataError: One of these is missing.
    """
    n = len(split)
    if n == 0:
        raise DataError(f"Source {kind!r}, split {name!r}: it holds no items.")
    for modality, column in columns.items():
        if column not in split.columns:
            hint = nearest(column, split.columns) + other_separator(list(split.columns))
            raise DataError(
                f"Source {kind!r}, split {name!r}: modality {modality!r} needs column {column!r}, "
                f"but there are {', '.join(split.columns)}.{hint} "
                f"Name the column with modalities.{modality}.column."
            )
        length = len(split.columns[column])
        if length != n:
            raise DataError(
                f"Source {kind!r}, split {name!r}: column {column!r} has {length} values, "
                f"expected {n}, one per item."
            )

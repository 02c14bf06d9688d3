"""Batches: a split as the model sees it, resident in memory or read on demand."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mmvae.data.missing import check_something
from mmvae.data.mixing import check_missing
from mmvae.data.source import Split
from mmvae.data.value_errors import place, refusals, refused_row
from mmvae.foundations.errors import DataError
from mmvae.foundations.randomness import ItemDraws, StepDraws, numbers_of
from mmvae.modalities.codec import Codec
from mmvae.modalities.column import Column
from mmvae.modalities.conversion import model_input
from mmvae.modalities.returned import pair

View = Callable[[Codec], Callable[[Tensor, torch.Generator], Tensor]]


def training_view(codec: Codec) -> Callable[[Tensor, torch.Generator], Tensor]:
    """A codec's fresh view for training (:meth:`mmvae.Codec.resample`)."""
    return codec.resample


def fixed_view(codec: Codec) -> Callable[[Tensor, torch.Generator], Tensor]:
    """A codec's view for validation and test statistics (:meth:`mmvae.Codec.fixed`)."""
    return codec.fixed


def plain_view(codec: Codec) -> Callable[[Tensor, torch.Generator], Tensor]:
    """Unchanged model input, for queries about a user's items."""
    return lambda x, generator: x


def fixed_draws(items: slice | Tensor, device: torch.device | str) -> ItemDraws:
    """Randomness of the fixed views of a split's items: the same for every statistic and seed."""
    return ItemDraws(0, "view", items, device)


@dataclass(frozen=True)
class Batch:
    """Model input of some items.

    Attributes:
        x: Modality → float32 input, shape (b, event…); the codec's fill value for items that lack
            the modality.
        observed: Modality → mask of observed cells, bool (b, event…), or None if all are observed;
            undefined for an item that lacks the modality.
        present: Modality → mask of the items that have it, bool (b,); None, or no entry, if all
            have.
    """

    x: Mapping[str, Tensor]
    observed: Mapping[str, Tensor | None]
    present: Mapping[str, Tensor | None] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(next(iter(self.x.values())))

    @property
    def device(self) -> torch.device:
        """The device of its tensors."""
        return next(iter(self.x.values())).device

    def take(self, rows: Sequence[int]) -> Batch:
        """The batch of these rows, in this order."""
        index = list(rows)
        observed = {m: None if mask is None else mask[index] for m, mask in self.observed.items()}
        present = {m: None if mask is None else mask[index] for m, mask in self.present.items()}
        return Batch({m: x[index] for m, x in self.x.items()}, observed, present)

    @property
    def presence(self) -> dict[str, Tensor]:
        """Modality → mask of the items that have it, bool (b,), if it may be missing."""
        return {m: mask for m, mask in self.present.items() if mask is not None}

    def counted(self, values: Tensor, modalities: Iterable[str]) -> Tensor:
        """The values (b, …) of items that have all of these modalities."""
        has = self.having(modalities)
        return values if has is None else values[has]

    def having(self, modalities: Iterable[str]) -> Tensor | None:
        """Mask of the items with all of these modalities, bool (b,); None if all items have."""
        masks = [self.presence[m] for m in modalities if m in self.presence]
        return torch.stack(masks).all(0) if masks else None


class Batches:
    """The prepared items of one split.

    Args:
        split: The items, as the source gives them.
        codecs: Modality → fitted codec, in the order of the configuration.
        columns: Modality → name of its column.
        device: The device of the batches.
        resident: Prepare all items now and keep them on ``device``; otherwise each batch is read
            and prepared on demand.

    Raises:
        DataError: A column is missing, a value lies outside its codec's support, or an item has
            no modality at all.
        ConfigError: A codec mixes items, and some of their cells are not observed.
    """

    def __init__(
        self,
        split: Split,
        codecs: Mapping[str, Codec],
        columns: Mapping[str, str],
        device: torch.device | str = "cpu",
        resident: bool = True,
    ) -> None:
        wanted = {columns[m]: split.columns[columns[m]] for m in codecs}  # take copies columns
        self.split, self.codecs, self.columns = Split(wanted, split.ids), codecs, columns
        self.device, self.resident = torch.device(device), resident
        check_something(self.split, {m: columns[m] for m in codecs}, "data")
        self._present: dict[str, Tensor | None] = {
            m: self._mask(self.split.columns[columns[m]]) for m in codecs
        }
        self._kept: dict[str, tuple[Tensor, Tensor | None]] = {}
        if resident:
            for name in codecs:
                x, observed = self._prepare(name, split)
                kept = None if observed is None else observed.to(self.device)
                self._kept[name] = (x.to(self.device), kept)

    def __len__(self) -> int:
        return len(self.split)

    def _mask(self, column: Column) -> Tensor | None:
        """Mask of the items that have a column's modality, on the device; None if all have."""
        return torch.from_numpy(column.present).to(self.device) if column.num_missing else None

    @property
    def has_missing(self) -> bool:
        """True if some items lack modalities."""
        return any(mask is not None for mask in self._present.values())

    def items_with(self, modalities: Iterable[str]) -> Tensor:
        """The items that have all of these modalities, ascending, int64 on the CPU."""
        has = torch.ones(len(self), dtype=torch.bool)
        for m in modalities:
            mask = self._present[m]
            has &= True if mask is None else mask.cpu()
        return has.nonzero().flatten()

    def complete(self) -> Batches:
        """The items that have every modality, as a split of their own; ``self`` if all have."""
        if not self.has_missing:
            return self
        rows, found = self.items_with(self.codecs), copy(self)
        where = rows.to(self.device)
        found.split = self.split.take(rows.numpy())
        found._present = dict.fromkeys(self.codecs)
        found._kept = {
            m: (x[where], None if mask is None else mask[where])
            for m, (x, mask) in self._kept.items()
        }
        return found

    def _prepare(self, modality: str, split: Split) -> tuple[Tensor, Tensor | None]:
        column = split.columns[self.columns[modality]]
        return prepare(modality, self.codecs[modality], column, split.ids)

    def batch(self, items: Tensor, draws: StepDraws, view: View) -> Batch:
        """The batch of these items.

        Args:
            items: Item indices, int64 on the CPU, shape (b,).
            draws: The step's randomness, for ``view``.
            view: :func:`training_view`, :func:`fixed_view` or :func:`plain_view`.
        """
        x: dict[str, Tensor] = {}
        observed: dict[str, Tensor | None] = {}
        where = items.to(self.device, non_blocking=True)
        if self.resident:
            for name, (values, mask) in self._kept.items():
                x[name] = values.index_select(0, where)
                observed[name] = None if mask is None else mask.index_select(0, where)
        else:
            split = self.split.take(items.numpy())
            for name in self.codecs:
                values, mask = self._prepare(name, split)
                x[name] = values.to(self.device, non_blocking=True)
                observed[name] = None if mask is None else mask.to(self.device)
        present: dict[str, Tensor | None] = {}
        for name, codec in self.codecs.items():
            given = model_input(codec, x[name], observed[name])
            x[name] = draws.resample(name, view(codec), given)
            mask = self._present[name]
            present[name] = None if mask is None else mask.index_select(0, where)
            x[name] = with_fill_values(codec, x[name], present[name])
        return Batch(x, observed, present)

    def fixed(self, items: slice | Tensor) -> Batch:
        """The fixed views of some items: the same in every statistic, for any chunk size.

        Args:
            items: A span of them, or their numbers, ascending, int64 on the CPU.
        """
        return self.batch(numbers_of(items), fixed_draws(items, self.device), fixed_view)


def with_fill_values(codec: Codec, x: Tensor, present: Tensor | None) -> Tensor:
    """Model input (b, event…) with the codec's fill value for items without the modality.

    Args:
        codec: The codec.
        x: Model input of all items; that of items without the modality is ignored.
        present: Mask of the items that have the modality, bool (b,), or None if all have.
    """
    if present is None:
        return x
    has = present.view(-1, *[1] * (x.dim() - 1))
    return torch.where(has, x, codec.missing(1).to(x, non_blocking=True))


def prepare(
    modality: str, codec: Codec, column: Column, ids: Any = None
) -> tuple[Tensor, Tensor | None]:
    """Prepare a column, with errors that name modality, file and item.

    Codecs see the items that have the modality; the rows of others are zeros, with no cell
    observed.

    Raises:
        DataError: The codec refuses a value, or its result breaks its contract: another shape
            than it learned, or not finite where observed.
        ConfigError: The codec mixes items, and some cells are not observed.
    """
    if column.num_missing:
        return _prepared_zero_missing(modality, codec, column, ids)
    column = column.read()
    with refusals(modality, codec.kind, column, ids, refused_row(codec)):
        prepared = codec.prepare(column)
    x, observed = pair(codec, prepared, len(column))
    if tuple(x.shape) != (len(column), *codec.event_shape):
        raise DataError(
            f"{place(modality, column)}: codec {codec.kind!r} prepared {len(column)} values to "
            f"shape {tuple(x.shape)}, expected {(len(column), *codec.event_shape)}. The column "
            f"does not fit what the codec learned from the training split."
        )
    check_missing(modality, codec, column, observed)
    if x.is_floating_point():
        _check_finite(modality, codec, column, x, observed, ids)
    return x, observed


def _prepared_zero_missing(
    modality: str, codec: Codec, column: Column, ids: Any
) -> tuple[Tensor, Tensor | None]:
    check_missing(modality, codec, column, None)
    rows = column.rows
    where, n = torch.from_numpy(rows), len(column)
    if not len(rows):
        return torch.zeros(n, *codec.event_shape), None
    theirs = None if ids is None else np.asarray(ids)[rows]
    x, observed = prepare(modality, codec, column.without_missing(), theirs)
    whole = x.new_zeros(n, *x.shape[1:]).index_copy_(0, where, x)
    if observed is None:
        return whole, None
    return whole, observed.new_zeros(whole.shape).index_copy_(0, where, observed)


def _check_finite(
    modality: str, codec: Codec, column: Column, x: Tensor, observed: Tensor | None, ids: Any
) -> None:
    bad = ~torch.isfinite(codec.to_input(x))
    if observed is not None:
        bad &= observed
    if bad.any():
        row = int(bad.flatten(1).any(1).nonzero()[0])
        raise DataError(
            f"{place(modality, column, row, ids)}: codec {codec.kind!r} lets a value through that "
            f"is not finite. Expected finite numbers; correct it, or leave the item out."
        )

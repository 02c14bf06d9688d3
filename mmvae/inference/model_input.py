"""Model input: a user's data as batches, and their values as conditions, of a trained model."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mmvae.data.batches import Batch, Batches, fixed_draws, fixed_view, plain_view
from mmvae.data.in_memory import as_split
from mmvae.data.missing import presence
from mmvae.data.source import Split
from mmvae.foundations.errors import DataError, nearest
from mmvae.foundations.surroundings import undisturbed
from mmvae.inference.conditions import condition, given_column
from mmvae.inference.sampling import CHUNK, device_of
from mmvae.modalities.codec import Codec
from mmvae.modalities.column_type import ColumnType
from mmvae.modalities.subsets import canonical
from mmvae.models.base import Model


def split_of(data: Any) -> Split:
    """A user's data as a split."""
    return data if isinstance(data, Split) else as_split(data, "data")


class ModelInput:
    """A model with its codecs, and the columns of tables that are its modalities.

    Args:
        model: The model, with its fitted codecs.
        columns: Modality → name of its column in tables.
        origin: The path that it was loaded from, for messages.
    """

    def __init__(
        self, model: Model, columns: Mapping[str, str], origin: Path | None = None
    ) -> None:
        self.model = model.eval()
        self.columns, self.origin = dict(columns), origin

    @property
    def codecs(self) -> dict[str, Codec]:
        """Modality → fitted codec."""
        return self.model.codecs

    @property
    def modalities(self) -> tuple[str, ...]:
        """Names of the modalities, in the order of the configuration."""
        return self.model.modalities

    @property
    def types(self) -> dict[str, ColumnType]:
        """Column of a table → its type in the training data, so that files are read alike."""
        known = {m: codec.column_type for m, codec in self.codecs.items()}
        found = {m: kind for m, kind in known.items() if kind is not None}
        return found | {self.columns[m]: kind for m, kind in found.items()}

    @property
    def device(self) -> torch.device:
        """The device of the weights."""
        return device_of(self.model)

    def names(self, split: Split, modalities: str | Sequence[str] | None) -> dict[str, str]:
        """Modality → its column in ``split``: under its own name or the configured one.

        Args:
            split: The items.
            modalities: The modalities that must be there; default: those that are.

        Raises:
            DataError: A named modality is missing, or all are.
        """
        wanted = canonical(self.modalities if modalities is None else modalities, self.modalities)
        found = {}
        for m in wanted:
            column = next((c for c in (self.columns[m], m) if c in split.columns), None)
            if column is not None:
                found[m] = column
            elif modalities is not None:
                raise DataError(
                    f"data: no column {self.columns[m]!r} for modality {m!r}; there are "
                    f"{', '.join(split.columns)}.{nearest(m, split.columns)}"
                )
        if not found:
            raise DataError(
                f"data: none of the columns {', '.join(split.columns)} is a modality; expected "
                f"some of {', '.join(self.columns[m] for m in self.modalities)}."
            )
        return found

    def unused(self, split: Split) -> str:
        """A remark on modalities without a column, with the columns that are none; or empty."""
        used = self.names(split, None)
        lacking = [m for m in self.modalities if m not in used]
        if not lacking:
            return ""
        idle = [name for name in split.columns if name not in used.values()]
        others = f"; not used: {', '.join(idle)}" if idle else ""
        return f"no column for {', '.join(lacking)}, so this is of {', '.join(used)}{others}"

    def split(self, data: Any, given: str | Sequence[str] | None) -> Split:
        """A user's data as a split, with a warning if unknown columns may be meant as modalities.

        Args:
            data: The items; of a :class:`mmvae.Split` there is no warning.
            given: The modalities that are used; None: those that ``data`` has.
        """
        split = split_of(data)
        if given is None and split is not data:
            known = {*self.modalities, *self.columns.values()}
            remark = self.unused(split) if split.columns.keys() - known else ""
            if remark:
                warnings.warn(f"data: {remark}", UserWarning, stacklevel=2)
        return split

    def batches(
        self, data: Any, modalities: str | Sequence[str] | None = None, fixed: bool = False
    ) -> Iterator[tuple[Batch, slice]]:
        """Model input of n items in chunks, with the rows of each.

        Args:
            data: The items, as for :meth:`mmvae.TrainedModel.embed`.
            modalities: The modalities; default: those that ``data`` has.
            fixed: Use the codecs' fixed views, for likelihoods; else values as they are.

        Raises:
            DataError: There are no items, a column is missing, or a codec refuses a value.
        """
        split = self.split(data, modalities)
        names = self.names(split, modalities)
        if len(split) == 0:
            raise DataError("data: it holds no items; expected at least one.")
        codecs = {m: self.codecs[m] for m in names}
        items = Batches(split, codecs, names, self.device, resident=False)
        view = fixed_view if fixed else plain_view

        def chunk(start: int) -> tuple[Batch, slice]:
            rows = slice(start, min(start + CHUNK, len(split)))
            draws = fixed_draws(rows, self.device)
            return items.batch(torch.arange(rows.start, rows.stop), draws, view), rows

        return map(chunk, range(0, len(split), CHUNK))

    def blank(
        self, split: Split, given: str | Sequence[str] | None = None
    ) -> np.ndarray[Any, Any]:
        """Mask of the items that have none of the given modalities, or none at all, bool (n,)."""
        return np.asarray(~presence(split, self.names(split, given)).any(1))

    @undisturbed()
    def condition(self, modality: str, value: Any) -> Tensor:
        """Convert one value or n values from a user to model input (n, event…).

        Raises:
            DataError: The codec does not accept such a value.
        """
        codec = self.codecs[modality]
        return condition(codec, modality, given_column(codec, modality, value)).to(self.device)

"""Items: a user's data as batches of model input."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch

from mmvae.data.batches import Batch, Batches, fixed_draws, fixed_view, plain_view
from mmvae.data.in_memory import as_split
from mmvae.data.source import Split
from mmvae.foundations.errors import DataError, nearest
from mmvae.inference.sampling import CHUNK, device_of
from mmvae.modalities.subsets import canonical
from mmvae.models.base import Model


def split_of(data: Any) -> Split:
    """A user's data as a split."""
    return data if isinstance(data, Split) else as_split(data, "data")


def column_names(
    model: Model, columns: Mapping[str, str], split: Split, modalities: str | Sequence[str] | None
) -> dict[str, str]:
    """Modality → its column in a split: under its own name or the configured one.

    Args:
        model: The model.
        columns: Modality → name of its column in tables.
        split: The items.
        modalities: The modalities that must be there; default: those that are.

    Raises:
        DataError: A named modality is missing, or all are.
    """
    wanted = canonical(model.modalities if modalities is None else modalities, model.modalities)
    found = {}
    for m in wanted:
        column = next((c for c in (columns[m], m) if c in split.columns), None)
        if column is not None:
            found[m] = column
        elif modalities is not None:
            raise DataError(
                f"data: no column {columns[m]!r} for modality {m!r}; there are "
                f"{', '.join(split.columns)}.{nearest(m, split.columns)}"
            )
    if not found:
        raise DataError(
            f"data: none of the columns {', '.join(split.columns)} is a modality; expected "
            f"some of {', '.join(columns[m] for m in model.modalities)}."
        )
    return found


def batches(
    model: Model, split: Split, names: Mapping[str, str], fixed: bool
) -> Iterator[tuple[Batch, slice]]:
    """Model input of n items in chunks, with the rows of each.

    Args:
        model: The model.
        split: The items.
        names: Modality → its column.
        fixed: Use the codecs' fixed views, for likelihoods; else values as they are.
    """
    if len(split) == 0:
        raise DataError("data: it holds no items; expected at least one.")
    device = device_of(model)
    codecs = {m: model.codecs[m] for m in names}
    items = Batches(split, codecs, names, device, resident=False)
    view = fixed_view if fixed else plain_view
    for start in range(0, len(split), CHUNK):
        rows = slice(start, min(start + CHUNK, len(split)))
        yield (
            items.batch(torch.arange(rows.start, rows.stop), fixed_draws(rows, device), view),
            rows,
        )

"""A summary of the data as the model sees them: sizes, ranges, classes, missing values."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mmvae.data.batches import prepare
from mmvae.data.dataset import Data, chunks
from mmvae.data.source import Split
from mmvae.data.split_names import SPLITS
from mmvae.modalities.codec import Codec
from mmvae.modalities.subsets import subset_name


@dataclass
class ModalitySummary:
    """One modality in one split.

    Attributes:
        dtype: Type of the prepared values.
        low: The least observed value of the model input.
        high: The largest one.
        classes: Class → items, for modalities with classes.
        items: Number of items that have it.
        partial: Number of items that have it, but not all cells of it.
    """

    dtype: str = ""
    low: float = math.inf
    high: float = -math.inf
    classes: Counter[str] | None = None
    items: int = 0
    partial: int = 0


@dataclass
class SplitSummary:
    """One split.

    Attributes:
        items: Number of items.
        bytes: Memory of all prepared values.
        resident: True if they stay in memory.
        modalities: Modality → its summary.
        patterns: Set of modalities that items have, written ``a+b`` → number of items.
    """

    items: int = 0
    bytes: int = 0
    resident: bool = True
    modalities: dict[str, ModalitySummary] = field(default_factory=dict)
    patterns: Counter[str] = field(default_factory=Counter)


def describe(data: Data) -> dict[str, SplitSummary]:
    """Summarise every value of every split.

    Raises:
        DataError: A value lies outside its codec's support.
    """
    return {s: describe_split(data, data.splits[s]) for s in SPLITS if s in data.splits}


def describe_split(data: Data, split: Split) -> SplitSummary:
    """Summarise every value of one split, chunk by chunk."""
    summary = SplitSummary(len(split), resident=data.fits(split))
    summary.modalities = {m: ModalitySummary() for m in data.codecs}
    for part in chunks(split, data.codecs.values()):
        has = {}
        for m, codec in data.codecs.items():
            column = part.columns[data.columns[m]]
            x, observed = prepare(m, codec, column, part.ids)
            summary.bytes += x.nbytes + (0 if observed is None else observed.nbytes)
            has[m] = np.ones(len(part), bool) if column.present is None else column.present
            rows = torch.from_numpy(has[m])
            cells = None if observed is None else observed[rows]
            add(summary.modalities[m], codec, x[rows], cells)
        summary.patterns.update(
            subset_name(tuple(m for m in has if has[m][i])) for i in range(len(part))
        )
    return summary


def add(summary: ModalitySummary, codec: Codec, x: Tensor, observed: Tensor | None) -> None:
    """Add the prepared values of items that have a modality to its summary."""
    given = codec.to_input(x)
    cells = (torch.ones_like(given, dtype=torch.bool) if observed is None else observed).flatten(1)
    whole = cells.all(1)
    seen = given.flatten(1)[cells]
    summary.dtype = str(x.dtype).removeprefix("torch.")
    if len(seen):
        summary.low = min(summary.low, float(seen.min()))
        summary.high = max(summary.high, float(seen.max()))
    summary.items += len(x)
    summary.partial += int((~whole).sum())
    if codec.classes is not None:
        index = codec.class_index(given[whole])
        counts = index.bincount(minlength=len(codec.classes)).tolist()
        found = Counter(dict(zip(codec.classes, counts, strict=True)))
        summary.classes = found if summary.classes is None else merged(summary.classes, found)


def merged(a: Mapping[str, int], b: Mapping[str, int]) -> Counter[str]:
    """The sum of two counts, zeros kept."""
    return Counter({name: a[name] + b[name] for name in a})


def as_json(summary: SplitSummary) -> dict[str, Any]:
    """A split's summary as plain values."""
    return {
        "items": summary.items,
        "bytes": summary.bytes,
        "resident": summary.resident,
        "patterns": dict(summary.patterns),
        "modalities": {
            m: {
                "dtype": s.dtype,
                "range": [s.low, s.high] if s.low <= s.high else None,
                "classes": None if s.classes is None else dict(s.classes),
                "items": s.items,
                "partial": s.partial,
            }
            for m, s in summary.modalities.items()
        },
    }

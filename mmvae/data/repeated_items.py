"""Repeated items: the same raw values again, in one split or in two."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from mmvae.data.dataset import chunks
from mmvae.data.findings import Finding
from mmvae.data.memory import as_bytes
from mmvae.data.missing import presence
from mmvae.data.source import Split
from mmvae.modalities.codec import Codec
from mmvae.modalities.column import Column

LOOKED_AT = 1000
"""Maximum number of items that tell if the values of a modality are mostly different."""


def repeated(
    splits: Mapping[str, Split],
    columns: Mapping[str, str],
    distinctive: Mapping[str, str],
    codecs: Collection[Codec],
) -> Iterator[Finding]:
    """Items whose raw values in all modalities equal those of an earlier item.

    Items with missing modalities are compared only if they have one of the modalities
    ``distinctive``: many have the same class, or the same short text, and nothing else.
    """
    first: dict[bytes, tuple[str, Any]] = {}
    for name, split in splits.items():
        within: list[tuple[Any, Any]] = []
        across: dict[str, list[tuple[Any, Any]]] = {}
        has = presence(split, columns)
        known = has.all(1) | presence(split, distinctive).any(1) if distinctive else has.all(1)
        split = split.take(np.flatnonzero(known))
        for digest, item in _digests(split, list(columns.values()), codecs):
            if digest not in first:
                first[digest] = (name, item)
                continue
            home, earlier = first[digest]
            (within if home == name else across.setdefault(home, [])).append((item, earlier))
        if within:
            item, earlier = within[0]
            message = f"the same as item {earlier}; repeated items in this split: {len(within)}"
            yield Finding("duplicate", name, None, item, message)
        for home, pairs in across.items():
            item, earlier = pairs[0]
            message = f"the same as item {earlier} of {home}; items in both: {len(pairs)}"
            yield Finding("leak", name, None, item, message)


def is_distinctive(train: Split, column: str, codec: Codec) -> bool:
    """True if most of some training items with a modality have different values of it."""
    rows = train.columns[column].rows
    few = train.take(
        rows[np.linspace(0, len(rows) - 1, min(len(rows), LOOKED_AT)).astype(np.int64)]
    )
    different = {digest for digest, _ in _digests(few, [column], [codec])}
    return 2 * len(different) > len(few)


def distinct_values(split: Split, column: str, codec: Codec) -> tuple[Any, Any] | None:
    """Two different raw values of a column; None if all are equal."""
    first: list[Any] = []
    for part in chunks(split, [codec]):
        for value in part.columns[column].without_missing().read().values:
            first = first or [value]
            if _content(value) != _content(first[0]):
                return first[0], value
    return None


def _digests(
    split: Split, columns: list[str], codecs: Iterable[Codec]
) -> Iterator[tuple[bytes, Any]]:
    for part in chunks(split, codecs):
        values = [_values(part.columns[name]) for name in columns]
        for row, item in enumerate(part.ids):
            digest = hashlib.blake2b(digest_size=16)
            for column in values:
                content = _content(column[row])
                digest.update(len(content).to_bytes(8, "big") + content)
            yield digest.digest(), item


def _values(column: Column) -> Sequence[Any]:
    """A column's values, None for items without the modality."""
    values: Sequence[Any] = column.without_missing().read().values
    if column.present is None:
        return values
    places = np.cumsum(column.present) - 1
    return [
        values[place] if has else None for has, place in zip(column.present, places, strict=True)
    ]


def _content(value: Any) -> bytes:
    """A raw value's content; for an encoded picture its bytes, independent of its file name."""
    if isinstance(value, dict) and value.get("bytes") is not None:
        return bytes(value["bytes"])
    return as_bytes(value)

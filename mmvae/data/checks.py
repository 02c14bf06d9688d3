"""Checks of data before a training: every value, and comparisons between splits."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

import numpy as np
from torch import Tensor

from mmvae.data.batches import prepare
from mmvae.data.dataset import check_columns, chunks, fitted
from mmvae.data.description import ModalitySummary, add
from mmvae.data.extreme_values import extremes
from mmvae.data.fillable import unfillable
from mmvae.data.findings import Finding
from mmvae.data.item_names import look_alike_phrases
from mmvae.data.missing import check_training, presence
from mmvae.data.repeated_items import distinct_values, is_distinctive, repeated
from mmvae.data.source import Source, Split
from mmvae.data.split_names import SPLITS, SplitName
from mmvae.data.usable_items import usable, without_discarded
from mmvae.foundations.errors import DataError, UnsupportedValue
from mmvae.modalities.codec import Codec
from mmvae.modalities.codec_config import CodecConfig

TINY = 10
"""Minimum number of items of a meaningful split."""

LISTED = 20
"""Maximum number of values outside the support that are listed, per split and modality."""


def check(
    source: Source, recipes: Mapping[str, tuple[type[Codec], CodecConfig]]
) -> tuple[dict[str, int], list[Finding]]:
    """Check all values of all splits of a source.

    Args:
        source: The source.
        recipes: Modality → codec class and its validated config.

    Returns:
        Items per split, and the findings, by split.

    Raises:
        DataError: The source cannot be read at all, or has no training split.
    """
    splits = usable(source)
    columns = {m: config.column or m for m, (_, config) in recipes.items()}
    names = [name for name in SPLITS if name in splits]
    sizes = {str(name): len(splits[name]) for name in names}
    findings = [Finding("source", "all", None, None, doubt) for doubt in source.doubts()]
    refused = len(findings)
    for name in names:
        try:
            check_columns(source.kind, name, splits[name], columns)
        except DataError as error:
            findings.append(Finding("column", name, None, None, str(error)))
    if len(findings) > refused:
        return sizes, findings
    splits = without_discarded(source, splits, columns)
    sizes = {str(name): len(splits[name]) for name in names}
    codecs: dict[str, Codec] = {}
    for m, (codec_class, config) in recipes.items():
        try:
            check_training(splits["train"], {m: columns[m]})
            codecs[m] = fitted(m, codec_class, config, splits["train"], columns[m])
            phrases = look_alike_phrases(codecs[m])
            findings += [Finding("doubt", "train", m, None, phrase) for phrase in phrases]
        except DataError as error:
            findings.append(Finding("column", "train", m, None, str(error)))
    for m, phrase in unfillable(codecs, columns, splits["train"]):
        findings.append(Finding("doubt", "train", m, None, phrase))
    for name in names:
        findings += _tiny(name, splits[name])
        findings += _missing(name, splits[name], columns, codecs)
        for m, codec in codecs.items():
            findings += _modality(name, m, codec, splits[name], columns[m])
            findings += _doubts(name, m, codec, splits[name], columns[m])
            findings += _extreme(name, m, codec, splits, columns[m])
    distinctive = {
        m: columns[m]
        for m, codec in codecs.items()
        if codec.classes is None and is_distinctive(splits["train"], columns[m], codec)
    }
    named: dict[str, Split] = {name: splits[name] for name in names}
    findings += repeated(named, columns, distinctive, codecs.values())
    return sizes, findings


def _tiny(name: str, split: Split) -> Iterator[Finding]:
    if len(split) < TINY:
        yield Finding("tiny", name, None, None, f"{len(split)} items; expected at least {TINY}")


def _missing(
    name: str, split: Split, columns: Mapping[str, str], codecs: Mapping[str, Codec]
) -> Iterator[Finding]:
    """Items without any modality, and missing modalities that the training split always has."""
    for row in np.flatnonzero(~presence(split, columns).any(1))[:LISTED]:
        yield Finding("empty", name, None, split.ids[row], "none of the modalities is observed")
    for m, codec in codecs.items():
        lacking = split.columns[columns[m]].num_missing
        if lacking and not codec.sometimes_missing:
            message = f"{lacking} items lack it, which every training item has"
            yield Finding("gaps", name, m, None, message)


def _modality(name: str, m: str, codec: Codec, split: Split, column: str) -> Iterator[Finding]:
    """Values outside the support; in the training split, columns without information."""
    summary = ModalitySummary()
    refused: list[Finding] = []
    spread = _Spread()
    for part in chunks(split, [codec]):
        for x, observed in _prepared(name, m, codec, part, column, refused):
            add(summary, codec, x, observed)
            spread.add(x)
    yield from refused[:LISTED]
    if len(refused) > LISTED:
        more = f"{len(refused) - LISTED} more values are refused"
        yield Finding("value", name, m, None, more)
    if name != "train":
        return
    if spread.constant and len(split) > 1:
        yield Finding("constant", name, m, None, _constant(codec, split, column))
    absent = [c for c, n in (summary.classes or {}).items() if n == 0]
    if absent:
        message = f"no item of class {', '.join(absent[:LISTED])}" + (
            f" and {len(absent) - LISTED} more" if len(absent) > LISTED else ""
        )
        yield Finding("class", name, m, None, message + _largest(codec, split, column))


def _constant(codec: Codec, split: Split, column: str) -> str:
    """A phrase on equal prepared values; their raw values may differ."""
    pair = distinct_values(split, column, codec)
    if pair is None:
        return "every item has the same value"
    plain = (v.tolist() if isinstance(v, (np.ndarray, np.generic)) else v for v in pair)
    first, second = (f"{value!r:.40}" for value in plain)
    return (
        f"the values differ ({first}, {second}), but every item has the same model input: their "
        f"differences are lost, e.g. by rounding to float32"
    )


def _doubts(name: str, m: str, codec: Codec, split: Split, column: str) -> Iterator[Finding]:
    """Values whose interpretation is doubtful, by reason, each with its first item."""
    items: dict[str, list[Any]] = {}
    for part in chunks(split, [codec]):
        raw, ids = part.columns[column], np.asarray(part.ids)
        with suppress(UnsupportedValue):  # which is among the findings
            for row, doubt in codec.doubts(raw.without_missing().read()):
                items.setdefault(doubt, []).append(ids[raw.rows[row]])
    for doubt, found in items.items():
        more = f"; so in {len(found)} of {len(split)} items" if len(found) > 1 else ""
        yield Finding("doubt", name, m, found[0], doubt + more)


def _extreme(
    name: SplitName, m: str, codec: Codec, splits: Mapping[SplitName, Split], column: str
) -> Iterator[Finding]:
    """Extreme numbers, without neighbours among the training items or with only one."""
    found = extremes(splits[name], splits["train"], column, codec)
    if found is not None:
        yield Finding("extreme", name, m, found.item, found.description())


def _largest(codec: Codec, split: Split, column: str) -> str:
    """The item with the largest class number: if mistyped, all numbers below it become classes."""
    if not all(c.isdigit() for c in codec.classes or ("",)):
        return ""
    raw = split.columns[column]
    values, ids = raw.without_missing().read().values, np.asarray(split.ids)
    if not isinstance(values, np.ndarray) or values.dtype.kind not in "iu" or values.ndim != 1:
        return ""
    row = int(values.argmax())
    return f"; the largest one is {values[row]}, of item {ids[raw.rows[row]]}"


def _prepared(
    name: str, m: str, codec: Codec, part: Split, column: str, refused: list[Finding]
) -> Iterator[tuple[Tensor, Tensor | None]]:
    """Prepare a chunk; if a value is refused, item by item, so that all such values are found."""
    if part.columns[column].num_missing:
        part = part.take(part.columns[column].rows)
    if not len(part):
        return
    try:
        yield prepare(m, codec, part.columns[column], part.ids)
        return
    except DataError as error:
        whole = Finding("value", name, m, None, str(error))
    before = len(refused)
    for row in range(len(part)):
        item = part.take([row])
        try:
            yield prepare(m, codec, item.columns[column], item.ids)
        except DataError as error:
            refused.append(Finding("value", name, m, item.ids[0], str(error)))
    if len(refused) == before:  # each item passes alone, but not the chunk
        refused.append(whole)


class _Spread:
    """Tracks if all prepared values so far are equal."""

    def __init__(self) -> None:
        self.first: Tensor | None = None
        self.equal = True

    def add(self, x: Tensor) -> None:
        if len(x) and self.first is None:
            self.first = x[:1]
        if self.first is not None:
            self.equal = self.equal and bool((x == self.first).all())

    @property
    def constant(self) -> bool:
        return self.first is not None and self.equal

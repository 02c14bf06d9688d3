"""Classes that colour a figure: those of a modality, or of a column outside the model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mmvae.data.batches import prepare
from mmvae.data.source import Split
from mmvae.data.split_names import SplitName
from mmvae.foundations.errors import DataError, UsageError, nearest
from mmvae.modalities.codec import Codec
from mmvae.modalities.column import Column
from mmvae.report.subject import Subject

Array = np.ndarray[Any, Any]

MOST_CLASSES = 20
"""Maximum number of classes: more colours and markers cannot be distinguished."""


@dataclass(frozen=True)
class Classes:
    """The class of each item of some data.

    Attributes:
        word: The modality or column of the classes.
        names: The name of each class.
        codes: Split → the class of each item, int64 (n,).
    """

    word: str
    names: tuple[str, ...]
    codes: dict[SplitName, Tensor]


def classes_of(subject: Subject, word: str) -> Classes:
    """The classes of a modality, or else of a column of the subject's data.

    They cover items of the training split and of the shown one.

    Raises:
        UsageError: There is no such modality and no such column.
        DataError: The column does not hold classes, or too many; or there is no such split.
    """
    splits = {name: subject.data.items(name) for name in dict.fromkeys(("train", subject.split))}
    codec = subject.trained.codecs.get(word)
    if codec is not None and codec.classes is not None:
        column = subject.data.columns[word]
        codes = {name: _coded(word, codec, split, column) for name, split in splits.items()}
        found = Classes(word, codec.classes, codes)
    else:
        found = _of_column(subject, word, splits)
    if len(found.names) > MOST_CLASSES:
        raise DataError(
            f"{subject.run.folder}: {word!r} has {len(found.names)} classes, expected at most "
            f"{MOST_CLASSES}: more cannot be distinguished. Name another with --label."
        )
    return found


def _coded(word: str, codec: Codec, split: Split, column: str) -> Tensor:
    x, _ = prepare(word, codec, split.columns[column], split.ids)
    return codec.class_index(codec.to_input(x))


def _of_column(subject: Subject, word: str, splits: dict[SplitName, Split]) -> Classes:
    """Classes by the values of a column, with the source's names or the values themselves."""
    for split in splits.values():
        if word not in split.columns:
            raise UsageError(
                f"{subject.run.folder}: {word!r} is neither a modality with classes nor a column "
                f"of its data; they have {', '.join(split.columns)}."
                f"{nearest(word, split.columns)} Name the classes with --label."
            )
    names = splits["train"].columns[word].names
    values = {name: _values(word, split.columns[word]) for name, split in splits.items()}
    if names is None:
        kinds = np.unique(np.concatenate(list(values.values())))
    else:
        numbered = values["train"].dtype.kind != "U"
        kinds = np.arange(len(names)) if numbered else np.array(names)
    codes = {name: _codes(word, part, kinds, splits[name]) for name, part in values.items()}
    return Classes(word, names or tuple(map(str, kinds.tolist())), codes)


def _values(word: str, column: Column) -> Array:
    """A column's values: integers or texts, (n,).

    Raises:
        DataError: They are neither.
    """
    for part in (column.take([0]), column):  # only the first, before images are read
        values = np.asarray(part.read().values)
        if values.ndim != 1 or values.dtype.kind not in "biuU":
            origin = f"{column.origin}: " if column.origin else ""
            raise DataError(
                f"{origin}column {word!r} holds {values.dtype} values of shape {values.shape}, "
                f"expected an integer or a text for each item. Name another with --label."
            )
    return values.astype(np.int64) if values.dtype.kind != "U" else values


def _codes(word: str, values: Array, kinds: Array, split: Split) -> Tensor:
    """The index of each value among the kinds, int64 (n,)."""
    order = np.argsort(kinds)
    codes = order[np.searchsorted(kinds, values, sorter=order).clip(max=len(kinds) - 1)]
    wrong = np.flatnonzero(kinds[codes] != values)
    if len(wrong):
        row = int(wrong[0])
        raise DataError(
            f"{split.columns[word].origin or 'data'}: item {split.ids[row]}, column {word!r}: "
            f"got {values[row].item()!r}, which is none of its {len(kinds)} classes."
        )
    return torch.from_numpy(codes)

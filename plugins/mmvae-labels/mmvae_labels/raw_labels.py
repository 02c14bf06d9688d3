"""Raw labels: names, whole numbers or booleans, read from any kind of column."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from mmvae import Column, UnsupportedValue, is_unicode

Array = np.ndarray[Any, Any]
_MOST = 100_000  # one-hot vectors longer than this mean that the column holds ids, not labels
_EXACT = 2.0**52  # whole floats from here on may be other numbers rounded
_LARGE = 2**63  # integers from here on need more than the 64 bits of an array
_LABEL = "a whole number or a name"


def labels_of(column: Column) -> list[str] | Array:
    """Raw labels (n,) → names, bool or int64; refuses missing values, fractions, other types."""
    values = column.values
    if np.ma.is_masked(values):
        row = int(np.ma.getmaskarray(values).argmax())
        raise UnsupportedValue(row, "a masked label", _LABEL, "Label every item.")
    known = isinstance(values, np.ndarray) and values.dtype != object
    labels = values if known else label_array(list(values))
    if isinstance(labels, list):
        return named(labels)
    if labels.ndim != 1:
        raise UnsupportedValue(None, f"an array of shape {labels.shape}", "shape (n,)")
    if labels.dtype.kind == "U":
        return named([str(name) for name in labels.tolist()])
    if labels.dtype.kind not in "biuf":
        raise UnsupportedValue(None, f"labels of type {labels.dtype}", "integers or names")
    if labels.dtype.kind == "f":
        bad = ~np.isfinite(labels) | (labels != np.rint(labels)) | (np.abs(labels) >= _EXACT)
        if bad.any():
            row = int(np.argmax(bad))
            large = bool(np.isfinite(labels[row]) and abs(labels[row]) >= _EXACT)
            raise UnsupportedValue(
                row,
                f"label {labels[row]}" + " (a float, perhaps of another number)" * large,
                f"{_LABEL}, as a float below 2^52" if large else _LABEL,
                "Label every item; of a table, declare labels such as 1.10 in [data.types]: "
                'column = "text".',
            )
    if labels.dtype == np.uint64 and (labels >= _LARGE).any():
        row = int(np.argmax(labels >= _LARGE))
        raise too_large(row, labels[row])
    return labels if labels.dtype == bool else labels.astype(np.int64)


def too_large(row: int, label: Any) -> UnsupportedValue:
    """The refusal of a whole number of more than 64 bits, which would be another in an array."""
    return UnsupportedValue(
        row,
        f"label {label}",
        "a whole number of 64 bits",
        "Are these labels or ids? Write labels as texts.",
    )


def named(labels: list[str]) -> list[str]:
    """Labels of which each is a name; refuses empty texts and halves of characters."""
    for label in set(labels):
        if not label:
            raise UnsupportedValue(
                labels.index(label),
                "the empty text as a label",
                "a name of one character at least",
                "Leave the value out (null) if it stands for no label; write a name, such as "
                "'none', if it is one.",
            )
        if not is_unicode(label):
            raise UnsupportedValue(
                labels.index(label),
                f"label {label!r} (half a character)",
                "a name that is valid Unicode",
                "Correct the label.",
            )
    return labels


def label_array(values: list[Any]) -> list[str] | Array:
    """A list of names unchanged, a list of numbers as an array; refuses a mixture."""
    kinds: tuple[tuple[Any, str], ...] = (
        (str, "a class name"),
        ((bool, np.bool_), "a boolean"),
        ((int, float, np.number), "a whole number"),
    )
    found = [k for k, (kind, _) in enumerate(kinds) if any(isinstance(v, kind) for v in values)]
    wanted, called = kinds[found[0]] if found else ((), "")
    expected = f"{called}, as in other rows" if found != [2] and found else _LABEL
    for row, value in enumerate(values):
        if not isinstance(value, wanted):
            missing = value is None or (isinstance(value, float) and value != value)
            fix = (
                "Label every item." if missing else "Convert the labels to texts or whole numbers."
            )
            raise UnsupportedValue(row, f"label {value!r}", expected, fix)
    if found == [0]:
        return [str(value) for value in values]
    for row, value in enumerate(values):
        if isinstance(value, (int, np.integer)) and not -_LARGE <= int(value) < _LARGE:
            raise too_large(row, value)
    return np.array(values) if values else np.zeros(0, np.int64)


def distinct(labels: Array) -> list[Any]:
    """The labels that occur, ascending."""
    if len(labels) == 0:
        raise UnsupportedValue(None, "an empty column", "at least one label")
    if labels.dtype != bool and labels.min() < 0:
        row = int(np.argmin(labels))
        raise UnsupportedValue(
            row,
            f"label {labels[row]}",
            "a label of 0 or more",
            "Leave it empty if it stands for no label; list it in the key 'classes' if it is one.",
        )
    found: list[Any] = np.unique(labels).tolist()
    return found


def few_enough(labels: list[Any]) -> list[Any]:
    """The labels, refused if they are as many as ids would be."""
    if len(labels) > _MOST:
        raise UnsupportedValue(
            None, f"{len(labels)} labels", f"at most {_MOST} classes", "Are these labels or ids?"
        )
    return labels


def is_integer(name: str) -> bool:
    """True for a whole number as Python writes it."""
    return re.fullmatch("0|-?[1-9][0-9]*", name) is not None


def is_learned_integer(name: str) -> bool:
    """True for a whole number that a column can hold: of 64 bits."""
    return len(name) <= 20 and is_integer(name) and -(2**63) <= int(name) < 2**64


def name_array(classes: Sequence[str]) -> Array:
    """Names as an array, of objects if NumPy's texts would lose a final NUL."""
    names = np.array(classes)
    return names if names.tolist() == list(classes) else np.array(classes, object)

"""Classes of columns: names and codes of whatever a source may hold."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from mmvae.data.source import Split
from mmvae.foundations.errors import DataError
from mmvae.modalities.column import Column
from mmvae.report.classes import classes_of


def subject(train: Any, test: Any, names: tuple[str, ...] | None = None) -> Any:
    splits = {
        name: Split({"k": Column(values, names, "items.csv")}, [f"{name}/{i}" for i in range(9)])
        for name, values in (("train", train), ("test", test))
    }
    return SimpleNamespace(
        run=SimpleNamespace(folder="run"),
        trained=SimpleNamespace(codecs={}),
        data=SimpleNamespace(splits=splits, items=splits.__getitem__),
        split="test",
    )


@pytest.mark.parametrize(
    ("train", "test", "names", "found", "codes"),
    [
        (np.array([5, 3, 3]), np.array([7, 5]), None, ("3", "5", "7"), [2, 1]),
        (["b", "a", "b"], ["a", "b"], None, ("a", "b"), [0, 1]),
        (np.array([0, 1]), np.array([2, 0]), ("x", "y", "w"), ("x", "y", "w"), [2, 0]),
        (["y", "x"], ["w", "x"], ("x", "y", "w"), ("x", "y", "w"), [2, 0]),
        ([True, False], [False, True], None, ("0", "1"), [0, 1]),
    ],
)
def test_names_and_codes(train, test, names, found, codes) -> None:
    classes = classes_of(subject(train, test, names), "k")
    assert (classes.word, classes.names) == ("k", found)
    assert classes.codes["test"].tolist() == codes
    assert [found[k] for k in classes.codes["train"]] == [
        names[v]
        if names and isinstance(v, (int, np.integer))
        else str(int(v) if v in (0, 1) else v)
        for v in train
    ]


@pytest.mark.parametrize(
    ("train", "test", "names", "message"),
    [
        ([0.5, 1.5], [0.5], None, "column 'k' holds float64 values of shape"),
        ([1, None], [1], None, "column 'k' holds object values"),
        (np.zeros((2, 3)), np.zeros((1, 3)), None, r"values of shape \(1, 3\)"),
        ([0, 1], [0, 2], ("a", "b"), r"items.csv: item test/1, column 'k': got 2, which is none"),
        (["a", "b"], ["c"], ("a", "b"), "got 'c', which is none of its 2 classes"),
        (list(range(21)), [0], None, "has 21 classes, expected at most 20"),
    ],
)
def test_what_is_no_class_is_refused(train, test, names, message: str) -> None:
    with pytest.raises(DataError, match=message):
        classes_of(subject(train, test, names), "k")

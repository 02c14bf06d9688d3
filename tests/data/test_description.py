"""A description counts what is there: items, ranges, classes and gaps."""

from __future__ import annotations

import numpy as np
import pytest
from toys import ClassCodec, ClassConfig, VectorCodec, VectorConfig, toy_items

from mmvae.data.dataset import CHUNK, open_data
from mmvae.data.description import as_json, describe
from mmvae.data.memory import MemoryConfig, MemorySource
from mmvae.foundations.errors import DataError


def described(items, gaps: bool = False, **config):
    source = MemorySource(MemoryConfig(validation=0, test=0, **config), items)
    recipes = {
        "v": (VectorCodec, VectorConfig(gaps=gaps)),
        "c": (ClassCodec, ClassConfig()),
    }
    return describe(open_data(source, recipes))


def test_it_counts_and_measures_across_chunks() -> None:
    items = toy_items(CHUNK + 7)
    (summary,) = described(items).values()
    assert summary.items == CHUNK + 7
    v, c = summary.modalities["v"], summary.modalities["c"]
    assert (v.low, v.high) == (items["v"].min(), items["v"].max())
    assert (v.dtype, v.classes, v.partial) == ("float32", None, 0)
    assert [c.classes[name] for name in ("red", "green", "blue")] == np.bincount(
        items["c"]
    ).tolist()
    assert (c.low, c.high, c.dtype) == (0, 1, "uint8")
    assert summary.patterns == {"v+c": CHUNK + 7}
    assert summary.bytes == (CHUNK + 7) * (3 * 4 + 3)
    assert summary.resident


def test_classes_without_items_are_counted_too() -> None:
    summary = described({"v": np.zeros((2, 3)), "c": [0, 0]})["train"]
    assert summary.modalities["c"].classes == {"red": 2, "green": 0, "blue": 0}


def test_gaps_are_told_from_the_masks() -> None:
    items = toy_items(10)
    items["v"][0] = np.nan
    items["v"][1] = np.nan
    items["v"][2, 0] = np.nan
    summary = described(items, gaps=True)["train"]
    assert summary.patterns == {"v+c": 8, "c": 2}
    v = summary.modalities["v"]
    assert v.partial == 1
    assert (v.low, v.high) == (np.nanmin(items["v"]), np.nanmax(items["v"]))


def test_what_does_not_stay_in_memory() -> None:
    assert not described(toy_items(10), resident=False)["train"].resident
    assert not described(toy_items(10), resident_gib=1e-9)["train"].resident


def test_splits_come_in_their_order_and_as_json() -> None:
    items = {name: toy_items(n, n) for name, n in (("test", 3), ("train", 5))}
    summaries = described(items)
    assert {name: s.items for name, s in summaries.items()} == {"train": 5, "test": 3}
    assert list(summaries) == ["train", "test"]
    plain = as_json(summaries["test"])
    assert plain["patterns"] == {"v+c": 3}
    assert sum(plain["modalities"]["c"]["classes"].values()) == 3


def test_a_refused_value_is_named() -> None:
    items = toy_items(5)
    items["v"][3, 1] = np.inf
    with pytest.raises(DataError, match=r"item 3, modality 'v': got inf in cell 1"):
        described(items)

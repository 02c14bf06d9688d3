"""From a source to batches: columns found, codecs fitted, residency decided."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from toys import (
    NAMES,
    ClassCodec,
    ClassConfig,
    ToyConfig,
    ToySource,
    VectorCodec,
    VectorConfig,
    toy_items,
)

from mmvae.data.batches import fixed_view
from mmvae.data.dataset import CHUNK, Data, chunks, open_data
from mmvae.data.memory import MemoryConfig, MemorySource
from mmvae.data.source import Source, SourceConfig, Split
from mmvae.foundations.errors import DataError, UnsupportedValue
from mmvae.foundations.randomness import StepDraws
from mmvae.modalities.codec_config import CodecConfig
from mmvae.modalities.column import Column, LazyValues

RECIPES = {"v": (VectorCodec, VectorConfig()), "c": (ClassCodec, ClassConfig())}


class Given(Source):
    """Whatever splits a test makes."""

    kind = "given"

    def __init__(self, splits: Mapping[str, Split], **keys: Any) -> None:
        super().__init__(SourceConfig(**keys))
        self.made = splits

    def splits(self) -> Any:
        return self.made

    def fingerprint(self) -> str:
        return "given"


class Counted(LazyValues):
    """Lazy rows of an array that note how many were read."""

    def __init__(self, values: np.ndarray, rows: np.ndarray, reads: list[int]) -> None:
        self.values, self.rows, self.reads = values, rows, reads

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, rows: Any) -> Counted:
        return Counted(self.values, self.rows[np.asarray(rows)], self.reads)

    def read(self) -> Any:
        self.reads.append(len(self.rows))
        return self.values[self.rows]


def split(n: int = 9, **other: Any) -> Split:
    columns = {name: Column(values) for name, values in toy_items(n).items()}
    return Split(columns | {k: Column(v) for k, v in other.items()}, np.arange(n))


def toy_data(**keys: Any) -> Data:
    return open_data(ToySource(ToyConfig(items=20, validation=5, test=0, **keys)), RECIPES)


def test_codecs_are_fitted_to_the_training_split_alone() -> None:
    data = toy_data()
    assert list(data.codecs) == ["v", "c"]
    assert data.codecs["c"].classes == NAMES
    fitted: list[int] = []

    class Fitted(VectorCodec):
        def fit(self, column: Column) -> Mapping[str, Any]:
            fitted.append(len(column))
            return {}

    open_data(Given({"train": split(7), "test": split(4)}), {"v": (Fitted, VectorConfig())})
    assert fitted == [7]


def test_a_codec_is_fitted_to_a_column_that_nobody_has_read() -> None:
    reads: list[int] = []
    seen: list[Column] = []

    class Fitted(VectorCodec):
        def fit(self, column: Column) -> Mapping[str, Any]:
            seen.append(column.take([0]).read())
            return {}

    values = toy_items(9)["v"]
    train = Split({"v": Column(Counted(values, np.arange(9), reads))}, np.arange(9))
    open_data(Given({"train": train}), {"v": (Fitted, VectorConfig())})
    assert reads == [1, 1]  # by the codec, and by the core for the column's type
    assert np.array_equal(seen[0].values, values[:1])


def test_a_known_state_is_not_fitted_again() -> None:
    class NeverFitted(ClassCodec):
        def fit(self, column: Column) -> Mapping[str, Any]:
            raise AssertionError("fitted")

    state = {"c": {"classes": ["x", "y", "z"]}}
    data = open_data(Given({"train": split()}), {"c": (NeverFitted, ClassConfig())}, state)
    assert data.codecs["c"].classes == ("x", "y", "z")


def test_batches_are_made_once_per_split_on_demand() -> None:
    data = toy_data()
    assert data.batches("train") is data.batches("train")
    assert len(data.batches("validation")) == 5
    with pytest.raises(
        DataError,
        match=r"'toy' has no split 'test'; it has train, validation\..*-s evaluate.split=train",
    ):
        data.batches("test")


def test_a_bad_value_of_a_later_split_is_found_when_it_is_asked_for() -> None:
    bad = split(3)
    bad.columns["v"].values[1] = np.nan
    data = open_data(Given({"train": split(), "test": bad}), RECIPES)
    data.batches("train")
    with pytest.raises(DataError, match="item 1, modality 'v': got nan"):
        data.batches("test")


# -- what is refused ------------------------------------------------------------------------------


def config(**keys: Any) -> dict[str, tuple[type, CodecConfig]]:
    return {"vector": (VectorCodec, VectorConfig(**keys))}


@pytest.mark.parametrize(
    ("splits", "recipes", "message"),
    [
        ({"test": split()}, RECIPES, "'given' has no training split"),
        ({"train": split(0)}, RECIPES, "split 'train': it holds no items"),
        ({"train": split(), "test": split(0)}, RECIPES, "split 'test': it holds no items"),
        (
            {"train": split()},
            config(),
            r"modality 'vector' needs column 'vector', but there are v, w, c\. "
            r"Name the column with modalities.vector.column",
        ),
        (
            {"train": split(vectors=np.zeros((9, 3)))},
            config(),
            r"Did you mean 'vectors'\?",
        ),
        (
            {"train": split(x=np.zeros((9, 3))), "validation": split()},
            config(column="x"),
            "split 'validation': modality 'vector' needs column 'x'",
        ),
        (
            {"train": split(x=np.zeros((8, 3)))},
            config(column="x"),
            "column 'x' has 8 values, expected 9, one per item",
        ),
    ],
)
def test_what_does_not_fit_is_named(
    splits: Mapping[str, Split], recipes: Any, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        open_data(Given(splits), recipes)


def test_an_empty_data_set_in_memory_is_named() -> None:
    with pytest.raises(DataError, match=r"leave none for training|holds no items"):
        open_data(MemorySource(MemoryConfig(), {"v": [], "c": []}), RECIPES)


def test_a_codec_that_refuses_values_while_it_is_fitted_names_the_item() -> None:
    class Strict(VectorCodec):
        def fit(self, column: Column) -> Mapping[str, Any]:
            raise UnsupportedValue(2, "7", "a small number", "Divide by ten.")

    items = Split({"v": Column(np.zeros((3, 3)), origin="t.csv, column 'v'")}, ["a", "b", "c"])
    with pytest.raises(
        DataError,
        match=r"^t.csv, column 'v': item c, modality 'v': got 7, expected a small number. Divide",
    ):
        open_data(Given({"train": items}), {"v": (Strict, VectorConfig())})


# -- residency ------------------------------------------------------------------------------------

ITEM_BYTES = 3 * 4 + 3  # three float32 cells, three uint8 ones
FIT = 20 * ITEM_BYTES / 2**30


@pytest.mark.parametrize(
    ("keys", "resident"),
    [
        ({}, True),
        ({"resident": False}, False),
        ({"resident_gib": FIT * 1.001}, True),
        ({"resident_gib": FIT * 0.999}, False),
        ({"resident": True, "resident_gib": FIT * 0.1}, True),
    ],
)
def test_residency_is_as_configured_or_by_size(keys: dict[str, Any], resident: bool) -> None:
    assert toy_data(**keys).batches("train").resident is resident


def test_masks_count_among_an_items_bytes() -> None:
    recipes = {"v": (VectorCodec, VectorConfig(gaps=True))}
    data = open_data(ToySource(ToyConfig(items=20)), recipes)
    assert data.item_bytes(data.splits["train"]) == 3 * 4 + 3


def test_a_streamed_split_gives_what_a_resident_one_gives() -> None:
    one, two = (toy_data(resident=r).batches("train") for r in (True, False))
    items, draws = torch.arange(7), StepDraws(0, "test", 0, slice(0, 7), 7)
    for name, x in one.batch(items, draws, fixed_view).x.items():
        assert torch.equal(x, two.batch(items, draws, fixed_view).x[name])


def test_a_split_is_verified_a_chunk_at_a_time_and_not_kept() -> None:
    items = toy_items(CHUNK + 5)
    items["v"][CHUNK + 2, 0] = np.nan
    splits = {"train": toy_items(30), "test": items}
    data = open_data(MemorySource(MemoryConfig(), splits), RECIPES)
    data.verify("train")
    where = rf"^Split 'test': .*item {CHUNK + 2}, modality 'v': .*nan"
    with pytest.raises(DataError, match=where):
        data.verify("test")
    assert not data._batches
    with pytest.raises(DataError, match=r"no split 'validation'; it has train, test\. .*--split"):
        data.items("validation")


@pytest.mark.parametrize(("shape", "size"), [((3,), 500), ((1, 7000, 7000), 1), ((1 << 22,), 4)])
def test_items_of_many_cells_are_prepared_in_smaller_parts(
    shape: tuple[int, ...], size: int
) -> None:
    items = Split({"a": Column(np.arange(1001))}, np.arange(1001))
    parts = list(chunks(items, [SimpleNamespace(event_shape=shape)]))
    assert [len(part) for part in parts[:-1]] == [size] * (len(parts) - 1)
    assert np.concatenate([part.ids for part in parts]).tolist() == list(range(1001))

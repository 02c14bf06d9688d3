"""Gaps, from sources to batches: found, kept apart, and refused where they must be."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from toys import ClassCodec, ClassConfig, VectorCodec, VectorConfig, toy_items

from mmvae.data.batches import Batch, training_view
from mmvae.data.checks import check
from mmvae.data.dataset import Data, open_data
from mmvae.data.description import describe
from mmvae.data.in_memory import as_column
from mmvae.data.memory import MemoryConfig, MemorySource
from mmvae.data.missing import complete, patterns
from mmvae.data.table import TableConfig, TableSource, load_tables
from mmvae.foundations.errors import ConfigError, DataError
from mmvae.foundations.randomness import StepDraws
from mmvae.modalities.codec import Codec
from mmvae.modalities.column import Column

N = 24
RECIPES = {"v": (VectorCodec, VectorConfig()), "c": (ClassCodec, ClassConfig())}
BOTH = {"v": "v", "c": "c"}


def masks(n: int = N, seed: int = 0) -> dict[str, np.ndarray]:
    """Which items have v and c; each item has one at least, and some lack each."""
    rng = np.random.default_rng(seed)
    v, c = rng.random((2, n)) < 0.6
    v[0], c[0], v[1], c[1] = True, False, False, True
    return {"v": v, "c": c | ~v}


def gappy(n: int = N, fill: Any = None, seed: int = 0) -> dict[str, Column]:
    """Columns with gaps; what stands in them is ``fill``, or what the items really had."""
    items, has = toy_items(n, seed), masks(n, seed)
    if fill is not None:
        items["v"][~has["v"]] = fill
        items["c"][~has["c"]] = 999
    return {m: Column(items[m], present=has[m]) for m in ("v", "c")}


def opened(columns: Any, recipes: Any = RECIPES, **keys: Any) -> Data:
    splits = {"train": columns} if "train" not in columns else columns
    return open_data(MemorySource(MemoryConfig(**keys), splits), recipes)


def drawn(data: Data) -> Batch:
    items = torch.arange(len(data.splits["train"]))
    draws = StepDraws(0, "train", 0, slice(0, len(items)), len(items))
    return data.batches("train").batch(items, draws, training_view)


# -- where gaps come from -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "values",
    [
        [1.5, None, 2.5, None],
        np.array([1.5, np.nan, 2.5, np.nan]),
        np.ma.masked_array([1.5, 7, 2.5, 7], [0, 1, 0, 1]),
        np.array([1.5, None, 2.5, None], object),
        [np.ones((2, 2)), None, np.ones((2, 2)), None],
        np.array([[1, np.nan], [np.nan, np.nan], [1, 2], [np.nan, np.nan]]),
        np.ma.masked_array(np.ones((4, 2)), [[0, 1], [1, 1], [0, 0], [1, 1]]),
        [[1, None], [None, None], [1, 2], [None, None]],
        [[1, np.nan], [np.nan, np.nan], [1, 2], [None, np.nan]],
        [[1, 2], [None, None], [1, 2], None],
        [np.ones(2), np.full(2, np.nan), torch.ones(2), torch.full((2,), torch.nan)],
        [[[1], [None]], [[None], [None]], [[1], [2]], ((None,), [np.nan])],
        Column([1, "?", 2, object()], present=np.array([True, False, True, False])),
    ],
)
def test_what_counts_as_a_gap_in_memory(values: Any) -> None:
    column = as_column(values, "x")
    assert column.present.tolist() == [True, False, True, False]
    assert column.num_missing == 2
    assert len(column.without_missing()) == 2
    assert column.without_missing().present is None


def test_a_data_frame_has_gaps_where_it_has_none_or_na() -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"n": [1.0, None, 3.0], "t": ["a", None, "c"]})
    frame["i"] = pandas.array([1, pandas.NA, 3], dtype="Int64")
    for name in frame:
        assert as_column(frame[name], name).present.tolist() == [True, False, True]


def test_columns_without_gaps_have_no_mask() -> None:
    for values in ([1, 2], np.ones((2, 3)), np.ma.masked_array([1, 2], [0, 0]), ["a", "b"]):
        assert as_column(values, "x").present is None


def test_a_mask_must_fit_its_column() -> None:
    for present in (np.array([1, 0]), np.array([True])):
        with pytest.raises(DataError, match="expected bool of shape"):
            as_column(Column([1, 2], origin="x", present=present), "x")


def test_tables_have_gaps_where_they_are_null(tmp_path: Path) -> None:
    rows = [{"n": 1.5, "t": "a", "v": [1.0, None]}, {"n": None, "t": None, "v": None}] * 3
    datasets.Dataset.from_list(rows).to_parquet(str(tmp_path / "t.parquet"))
    (tmp_path / "t.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "t.csv").write_text("n,t\n" + "1.5,a\n,\n" * 3)
    for name in ("t.parquet", "t.jsonl", "t.csv"):
        split = load_tables(str(tmp_path / name))["train"]
        for column in split.columns.values():
            assert column.present.tolist() == [True, False] * 3
            assert column.take([3, 2]).present.tolist() == [False, True]
            assert len(column.without_missing().read().values) == 3
    assert np.array_equal(split.columns["n"].without_missing().read().values, [1.5] * 3)


def test_whole_numbers_of_a_csv_stay_whole_beside_gaps(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("code,x\n1,1.5\n,\n2,2\n")
    columns = load_tables(str(tmp_path / "t.csv"))["train"].columns
    code, x = (columns[name].without_missing().read().values for name in ("code", "x"))
    assert code.dtype.kind == "i"
    assert code.tolist() == [1, 2]
    assert x.tolist() == [1.5, 2.0]


def test_a_run_that_knew_no_gaps_is_to_be_trained_anew_on_items_with_them() -> None:
    """Not told that every training item has what they lack: here training items do."""
    whole = opened({m: toy_items(N)[m] for m in ("v", "c")})
    states = {m: codec.state for m, codec in whole.codecs.items()}
    source = MemorySource(MemoryConfig(), {"train": gappy()})
    with pytest.raises(DataError, match=r"lack modality 'v', but the run was .* Train it again"):
        open_data(source, RECIPES, states)


def test_what_is_not_finite_is_no_whole_number(tmp_path: Path) -> None:
    """Neither infinity nor NaN becomes the least integer, however a column is read."""
    nan, infinity = [1.0, np.nan, 2.0], [1.0, None, np.inf]
    path = str(tmp_path / "t.parquet")
    datasets.Dataset.from_dict({"nan": nan, "inf": infinity}).to_parquet(path)
    columns = load_tables(path)["train"].columns
    assert columns["inf"].without_missing().read().values.tolist() == [1.0, np.inf]
    assert columns["nan"].without_missing().read().values.dtype.kind == "i"
    np.testing.assert_array_equal(columns["nan"].read().values, nan)


def test_lists_of_nothing_but_null_are_gaps_of_a_table(tmp_path: Path) -> None:
    path = str(tmp_path / "t.parquet")
    rows = [[1, 2], [None, None], [3, None], None]
    datasets.Dataset.from_dict({"whole": rows, "x": rows}).to_parquet(path)
    for column in load_tables(path)["train"].columns.values():
        assert column.present.tolist() == [True, False, True, False]
    assert as_column(rows, "x").present.tolist() == [True, False, True, False]


def test_so_are_lists_of_such_lists(tmp_path: Path) -> None:
    path, nan = str(tmp_path / "t.parquet"), float("nan")
    whole = [[[1, 2], [3, 4]], [[None, None], [None]], [[None, 1], []], None, [[], []]]
    parts = [[[1.0], [nan]], [[nan], [nan]], [[nan]], [[2.0]], None]
    datasets.Dataset.from_dict({"whole": whole, "parts": parts}).to_parquet(path)
    columns = load_tables(path)["train"].columns
    assert columns["whole"].present.tolist() == [True, False, True, False, True]
    assert columns["parts"].present.tolist() == [True, False, False, True, False]


def test_items_of_a_table_keep_their_gaps_through_a_split(tmp_path: Path) -> None:
    has = np.arange(40) % 4 != 0
    table = {"v": [[1.0, 2.0, float(i)] if h else None for i, h in enumerate(has)]}
    datasets.Dataset.from_dict({**table, "c": list(range(40))}).to_parquet(
        str(tmp_path / "t.parquet")
    )
    source = TableSource(TableConfig(path=str(tmp_path / "t.parquet")))
    for split in source.splits().values():
        row = split.columns["c"].read().values
        assert np.array_equal(split.columns["v"].present, has[row])


# -- from columns to batches ----------------------------------------------------------------------


@pytest.mark.parametrize("resident", [True, False])
def test_a_batch_says_who_has_what_and_holds_stand_ins(resident: bool) -> None:
    data, has = opened(gappy(fill=np.nan), resident=resident), masks()
    batch, items = drawn(data), toy_items(N)
    for m in ("v", "c"):
        assert torch.equal(batch.present[m], torch.from_numpy(has[m]))
        assert not batch.x[m][~batch.present[m]].any()
    kept = torch.from_numpy(items["v"][has["v"]])
    assert torch.equal(batch.x["v"][batch.present["v"]], kept)
    assert torch.equal(batch.having(["v", "c"]), torch.from_numpy(has["v"] & has["c"]))
    assert torch.equal(batch.take([3, 0]).present["v"], batch.present["v"][[3, 0]])
    found = data.batches("train").items_with(["v", "c"])
    assert torch.equal(found, torch.from_numpy(np.flatnonzero(has["v"] & has["c"])))


def test_without_gaps_a_batch_has_no_mask() -> None:
    batch = drawn(opened({m: toy_items(N)[m] for m in ("v", "c")}))
    assert batch.presence == {}
    assert batch.having(["v", "c"]) is None


@settings(max_examples=15, deadline=None)
@given(st.sampled_from([np.nan, np.inf, -1e30, 0.0, 7.0]), st.integers(0, 5))
def test_what_stands_in_a_gap_reaches_no_batch_no_state_and_no_fingerprint(
    fill: float, seed: int
) -> None:
    plain, filled = opened(gappy(seed=seed)), opened(gappy(fill=fill, seed=seed))
    one, two = drawn(plain), drawn(filled)
    for m in ("v", "c"):
        assert torch.equal(one.x[m], two.x[m])
        assert plain.codecs[m].state == filled.codecs[m].state
    assert plain.source.fingerprint() == filled.source.fingerprint()


def test_fingerprints_tell_gaps_apart() -> None:
    whole = {m: toy_items(N)[m] for m in ("v", "c")}
    prints = {opened(columns).source.fingerprint() for columns in (whole, gappy(), gappy(seed=1))}
    assert len(prints) == 3


def test_codecs_learn_from_the_items_that_have_the_modality() -> None:
    class Mean(VectorCodec):
        def fit(self, column: Column) -> dict[str, Any]:
            return {"mean": float(np.mean(column.read().values)), "n": len(column)}

    has = masks()["v"]
    codec = opened(gappy(fill=np.nan), {**RECIPES, "v": (Mean, VectorConfig())}).codecs["v"]
    assert codec.state["n"] == has.sum()
    assert codec.state["mean"] == pytest.approx(float(toy_items(N)["v"][has].mean()))
    assert codec.sometimes_missing


def test_a_codec_knows_of_gaps_and_only_of_gaps() -> None:
    whole = {m: toy_items(N)[m] for m in ("v", "c")}
    for codec in opened(whole).codecs.values():
        assert not codec.sometimes_missing
        assert "has gaps" not in codec.state
    saved: Codec = ClassCodec(ClassConfig(), dict(opened(gappy()).codecs["c"].state))
    assert saved.sometimes_missing


def test_a_modality_absent_from_all_items_of_a_stretch_is_prepared() -> None:
    has = np.arange(N) >= 12
    columns = {"v": Column(toy_items(N)["v"], present=has), "c": toy_items(N)["c"]}
    for resident in (True, False):
        batches = opened(columns, resident=resident).batches("train")
        batch = batches.fixed(slice(0, 12))
        assert not batch.present["v"].any()
        assert torch.equal(batch.x["v"], torch.zeros(12, 3))


# -- patterns -------------------------------------------------------------------------------------


def test_patterns_count_every_item_once() -> None:
    split = opened(gappy()).splits["train"]
    found, has = patterns(split, BOTH), masks()
    assert sum(found.values()) == N
    assert found[("v", "c")] == (has["v"] & has["c"]).sum()
    assert found[("v",)] == (has["v"] & ~has["c"]).sum()
    assert list(found.values()) == sorted(found.values(), reverse=True)
    assert len(complete(split, BOTH)) == found[("v", "c")]


def test_the_description_has_the_patterns_and_what_is_there() -> None:
    summary = describe(opened(gappy(fill=np.nan)))["train"]
    has = masks()
    assert summary.patterns["v+c"] == (has["v"] & has["c"]).sum()
    assert sum(summary.patterns.values()) == N
    assert summary.modalities["v"].items == has["v"].sum()
    assert sum(summary.modalities["c"].classes.values()) == has["c"].sum()
    assert summary.modalities["v"].low == pytest.approx(float(toy_items(N)["v"][has["v"]].min()))


# -- what is refused ------------------------------------------------------------------------------


def test_incomplete_items_can_be_left_out() -> None:
    data, has = opened(gappy(), incomplete="discard"), masks()
    assert len(data.splits["train"]) == (has["v"] & has["c"]).sum()
    assert not any(codec.sometimes_missing for codec in data.codecs.values())
    apart = {"v": [[0, 0, 0], None], "c": [None, 1]}
    with pytest.raises(DataError, match=r"none of its 2 items has every modality"):
        opened(apart, incomplete="discard")


def test_an_item_with_nothing_and_a_modality_that_no_item_has_are_named() -> None:
    vectors: list[Any] = [[0.0, 0, 0]] * 6
    empty = {"v": [*vectors[:2], None, *vectors[3:]], "c": [0, 1, None, 0, 1, 2]}
    with pytest.raises(DataError, match=r"split 'train': item 2 has no observed modality: v, c"):
        opened(empty)
    assert opened(empty, incomplete="discard-empty").splits["train"].ids.tolist() == [
        0,
        1,
        3,
        4,
        5,
    ]
    with pytest.raises(DataError, match=r"'train': none of its 6 items has any of v, c"):
        opened({"v": [None] * 6, "c": [None] * 6}, incomplete="discard-empty")
    with pytest.raises(DataError, match=r"'c' \(column 'c'\): none of the 6 training items"):
        opened({"v": vectors, "c": [None] * 6})


def test_gaps_that_the_training_split_does_not_have_are_refused() -> None:
    train = {m: toy_items(N)[m] for m in ("v", "c")}
    with pytest.raises(DataError, match=r"'validation': \d+ of 24 items lack modality 'v'"):
        opened({"train": train, "validation": gappy()})


def test_codecs_that_mix_items_are_refused_with_gaps() -> None:
    class Mixing(VectorCodec):
        mixes_items = True

    data = opened(gappy(), {**RECIPES, "v": (Mixing, VectorConfig())})
    with pytest.raises(ConfigError, match="'v'.*mix the items of a batch.*missing"):
        data.batches("train")


def test_the_check_finds_empty_items_and_strange_gaps_and_accepts_the_rest() -> None:
    train = {m: list(column.values) for m, column in gappy(60).items()}
    for m, has in masks(60).items():
        train[m] = [value if h else None for value, h in zip(train[m], has, strict=True)]
    whole = {m: toy_items(12, seed=3)[m] for m in ("v", "c")}
    source = MemorySource(MemoryConfig(), {"train": train, "test": whole})
    assert check(source, RECIPES)[1] == []
    train["v"][5] = train["c"][5] = None
    source = MemorySource(MemoryConfig(), {"train": whole, "test": train})
    found = [(f.kind, f.split, f.modality, f.item) for f in check(source, RECIPES)[1] if f.wrong]
    assert found == [
        ("empty", "test", None, 5),
        ("gaps", "test", "v", None),
        ("gaps", "test", "c", None),
    ]

"""Splits by seed: a partition, of the shares asked for, by item, group or stratum."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from mmvae.data.in_memory import as_column
from mmvae.data.memory import MemoryConfig, MemorySource
from mmvae.data.source import Split
from mmvae.data.split_names import SplitName
from mmvae.data.splits import CutConfig, codes, refuse_shared_groups, split_items
from mmvae.foundations.errors import ConfigError, DataError
from mmvae.modalities.column import Column


def items(n: int) -> Split:
    return Split({"x": Column(10 * np.arange(n))}, np.arange(n))


@settings(deadline=None)
@given(st.integers(1, 80), st.floats(0, 0.45), st.floats(0, 0.45), st.integers(0, 5))
def test_every_item_is_in_one_split(n: int, validation: float, test: float, seed: int) -> None:
    wanted = {
        name: max(1, round(n * share)) if share else 0
        for name, share in (("validation", validation), ("test", test))
    }
    if sum(wanted.values()) >= n:
        return
    splits = split_items(items(n), validation, test, seed)
    ids = np.concatenate([split.ids for split in splits.values()])
    assert sorted(ids) == list(range(n))
    for split in splits.values():
        assert (split.columns["x"].values == 10 * split.ids).all()
    sizes = {name: len(split) for name, split in splits.items()}
    assert {name: sizes.get(name, 0) for name in wanted} == wanted


def test_a_share_that_rounds_to_no_item_still_takes_one() -> None:
    sizes = {name: len(split) for name, split in split_items(items(9), 0.01, 0.05, 0).items()}
    assert sizes == {"train": 7, "validation": 1, "test": 1}


def test_the_seed_alone_decides() -> None:
    one, two, other = (split_items(items(50), 0.2, 0.2, seed) for seed in (1, 1, 2))
    assert all((one[name].ids == two[name].ids).all() for name in one)
    assert (one["test"].ids != other["test"].ids).any()


def test_a_share_of_zero_leaves_the_split_out() -> None:
    assert list(split_items(items(9), 0, 0, 0)) == ["train"]
    assert list(split_items(items(9), 0, 0.3, 0)) == ["train", "test"]


def test_too_few_items_for_the_shares() -> None:
    with pytest.raises(DataError, match="2 items leave none.*lower the fractions"):
        split_items(items(2), 0.6, 0.6, 0)


# -- by group and by stratum ----------------------------------------------------------------------

KINDS = st.lists(st.integers(0, 6), min_size=4, max_size=60)


@settings(deadline=None)
@given(KINDS, st.floats(0, 0.4), st.floats(0, 0.4), st.integers(0, 5))
def test_a_group_is_never_in_two_splits(
    kinds: list[int], validation: float, test: float, seed: int
) -> None:
    groups = np.array(kinds)
    wanted = sum(share > 0 for share in (validation, test))
    try:
        splits = split_items(items(len(groups)), validation, test, seed, groups=groups)
    except DataError:
        assert len(set(kinds)) <= wanted or len(kinds) <= 4
        return
    assert len(splits) == wanted + 1  # each that was asked for has items
    ids = np.concatenate([split.ids for split in splits.values()])
    assert sorted(ids) == list(range(len(groups)))
    homes = [set(groups[split.ids].tolist()) for split in splits.values()]
    assert sum(map(len, homes)) == len(set(kinds))


def test_groups_of_one_size_give_the_shares_that_were_asked_for() -> None:
    groups = np.repeat(np.arange(20), 5)
    splits = split_items(items(100), 0.1, 0.2, 0, groups=groups)
    assert {name: len(split) for name, split in splits.items()} == {
        "train": 70,
        "validation": 10,
        "test": 20,
    }
    other = split_items(items(100), 0.1, 0.2, 1, groups=groups)
    assert set(other["test"].ids) != set(splits["test"].ids)


@settings(deadline=None)
@given(KINDS, st.floats(0, 0.4), st.floats(0, 0.4), st.integers(0, 5))
def test_each_stratum_has_its_share_of_every_split(
    kinds: list[int], validation: float, test: float, seed: int
) -> None:
    strata = np.array(kinds)
    n = len(strata)
    try:
        plain = split_items(items(n), validation, test, seed)
    except DataError:
        return
    splits = split_items(items(n), validation, test, seed, strata=strata)
    assert {k: len(s) for k, s in splits.items()} == {k: len(s) for k, s in plain.items()}
    found, counts = np.unique(strata, return_counts=True)
    for split in splits.values():
        for kind, count in zip(found, counts, strict=True):
            share = count * len(split) / n
            # Each end of a piece is off by half an item of the stratum, and by half an item of
            # every other in the place of the end: 9 items, 7 of a kind, show more than one.
            most = 1 + count * len(found) / n
            assert abs((strata[split.ids] == kind).sum() - share) <= most


def test_which_items_of_a_stratum_go_where_is_left_to_the_seed() -> None:
    strata = np.arange(40) % 2
    one, other = (split_items(items(40), 0, 0.25, seed, strata=strata) for seed in (0, 1))
    assert set(one["test"].ids) != set(other["test"].ids)


def table(**columns: object) -> Split:
    made = {name: Column(values) for name, values in columns.items()}
    return Split(made, np.arange(len(next(iter(made.values())))))


def test_a_null_is_a_group_of_its_own_but_one_stratum() -> None:
    column = ["a", None, None, "a", float("nan"), 3, 3.0, True]
    split = table(x=column)
    groups, strata = codes(split, "group", "x"), codes(split, "stratum", "x")
    assert groups[0] == groups[3]
    assert groups[5] == groups[6]
    assert len(set(groups.tolist())) == 6
    assert len({int(strata[i]) for i in (1, 2, 4)}) == 1


def test_what_is_no_group_is_refused() -> None:
    with pytest.raises(DataError, match=r"data.group = 'x': item 1 has a list there"):
        codes(table(x=[1, [2]]), "group", "x")
    with pytest.raises(ConfigError, match=r"data.stratum = 'patiend'.*mean 'patient'"):
        codes(table(patient=[1, 2]), "stratum", "patiend")
    with pytest.raises(ValidationError, match="group or stratum, not both"):
        CutConfig(group="a", stratum="b")


def test_too_few_groups_for_the_shares() -> None:
    with pytest.raises(DataError, match="2 groups of 9 items leave none.*lower the fractions"):
        split_items(items(9), 0.2, 0.2, 0, groups=np.arange(9) % 2)


def test_splits_that_come_with_the_data_may_not_share_a_group() -> None:
    splits: dict[SplitName, Split] = {
        "train": table(who=["a", "b", None]),
        "test": table(who=["c", None]),
    }
    refuse_shared_groups(splits, "who")
    splits["test"] = table(who=["c", "b"])
    with pytest.raises(DataError, match="'b' is in the splits train and test"):
        refuse_shared_groups(splits, "who")


# -- keys of every kind ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "values",
    [
        np.ma.array([7, 7, 8, 0, 0], mask=[0, 0, 0, 1, 1]),
        [np.int64(7), 7.0, np.float32(8), None, np.float32("nan")],
        pd.Series([7, 7, 8, None, None], dtype="Int64"),
        pd.Series([7, 7, 8, None, np.nan]),
        ["7", np.str_("7"), "8", None, pd.NA],
    ],
    ids=["masked", "scalars", "Int64", "Series", "texts"],
)
def test_what_is_missing_is_no_key_however_it_is_written(values: Any) -> None:
    split = Split({"g": as_column(values, "g")}, np.arange(5))
    assert codes(split, "group", "g").tolist() == [0, 0, 1, 2, 3]
    assert codes(split, "stratum", "g").tolist() == [0, 0, 1, 2, 2]


@pytest.mark.parametrize("values", [[1, "1"], ["x", 2, True, "True"], ["1.5", 1.5]])
def test_a_number_and_a_text_that_reads_the_same_are_refused(values: list[Any]) -> None:
    split = Split({"g": Column(values)}, np.arange(len(values)))
    with pytest.raises(DataError, match=r"items \d and \d have .* expected values of one type"):
        codes(split, "group", "g")


def test_truth_is_not_the_number_one() -> None:
    split = Split({"g": Column([True, 1, False, 0])}, np.arange(4))
    assert codes(split, "group", "g").tolist() == [0, 1, 2, 3]


def test_splits_whose_groups_are_texts_and_numbers_are_refused() -> None:
    splits = {"train": Split({"g": Column(["007"])}, [0]), "test": Split({"g": Column([7])}, [0])}
    with pytest.raises(DataError, match="texts in the split train, numbers in test"):
        refuse_shared_groups(splits, "g")


@pytest.mark.parametrize("key", ["group", "stratum"])
def test_groups_and_strata_that_look_the_same_are_doubted(key: str) -> None:
    names = [f"p{i // 2}{' ' if i == 3 else ''}" for i in range(20)]
    config = MemoryConfig.model_validate({key: "g", "validation": 0.2, "test": 0.2})
    source = MemorySource(config, {"x": np.arange(20.0), "g": names})
    (doubt,) = source.doubts()
    assert f"data.{key} = 'g': 'p1', 'p1 ' look the same, but are treated as 2" in doubt
    alike = MemorySource(config, {"x": np.arange(20.0), "g": [n.strip() for n in names]})
    assert list(alike.doubts()) == []

"""Splits by seed: a partition, of the shares that were asked for."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmvae.codec import Column
from mmvae.data.splits import split_items
from mmvae.errors import DataError
from mmvae.source import Split


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
    with pytest.raises(DataError, match="2 items leave none.*lower the shares"):
        split_items(items(2), 0.6, 0.6, 0)

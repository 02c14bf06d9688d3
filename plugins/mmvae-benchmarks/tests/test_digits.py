"""Bundled digits: columns, a stratified split that is a function of its seed."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from mmvae_benchmarks import Digits
from pydantic import ValidationError

from mmvae import DataError


def digits(**keys):
    return Digits(Digits.Config(**keys))


def test_columns():
    split = digits().splits()["train"]
    image, label = split.columns["image"], split.columns["label"]
    assert image.values.shape == (len(split), 8, 8)
    assert image.values.dtype == np.float32
    assert (image.values.min(), image.values.max()) == (0, 1)
    assert label.names == tuple("0123456789")
    assert set(label.values) == set(range(10))


def test_each_item_is_in_one_split():
    splits = digits().splits()
    ids = np.concatenate([split.ids for split in splits.values()])
    assert sorted(ids) == list(range(1797))


def test_splits_are_stratified():
    splits = digits().splits()
    counts = {n: np.bincount(s.columns["label"].values, minlength=10) for n, s in splits.items()}
    total = sum(counts.values())
    for name, share in (("validation", 0.1), ("test", 0.2)):
        assert np.abs(counts[name] - share * total).max() <= 1


def test_the_split_is_a_function_of_its_seed():
    first, same, other = (digits(split_seed=seed).splits() for seed in (0, 0, 1))
    np.testing.assert_array_equal(first["test"].ids, same["test"].ids)
    assert set(first["test"].ids) != set(other["test"].ids)
    prints = {digits(**keys).fingerprint() for keys in ({}, {"split_seed": 1}, {"test": 0.3})}
    assert len(prints) == 3
    assert digits().fingerprint() in prints


def test_a_share_of_zero_leaves_the_split_out():
    assert list(digits(validation=0, test=0).splits()) == ["train"]


def test_shares_must_leave_training_items():
    with pytest.raises(ValidationError, match="leave at least"):
        digits(validation=0.5, test=0.5)


def test_without_scikit_learn_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(DataError, match="pip install scikit-learn"):
        digits().splits()

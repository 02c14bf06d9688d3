"""MNIST from IDX files: splits, spellings, and what is said when files are missing or wrong."""

from __future__ import annotations

import numpy as np
import pytest
from mmvae_benchmarks import Mnist

from mmvae import ConfigError, DataError


def mnist(root, **keys):
    return Mnist(Mnist.Config(root=str(root), **keys))


@pytest.mark.parametrize("spelling", ["-", "."])
@pytest.mark.parametrize("compressed", [False, True])
def test_splits_have_the_files_items_in_order(write_mnist, tmp_path, spelling, compressed):
    arrays = write_mnist(spelling=spelling, compressed=compressed)
    splits = mnist(tmp_path, validation_from=4).splits()
    assert {name: len(split) for name, split in splits.items()} == {
        "train": 4,
        "validation": 2,
        "test": 3,
    }
    for name, rows, part in (
        ("train", slice(0, 4), "train"),
        ("validation", slice(4, 6), "train"),
        ("test", slice(0, 3), "t10k"),
    ):
        columns = splits[name].columns
        np.testing.assert_array_equal(columns["image"].values, arrays[f"{part}-images"][rows])
        np.testing.assert_array_equal(columns["label"].values, arrays[f"{part}-labels"][rows])
        assert columns["label"].names == tuple("0123456789")
    assert list(splits["validation"].ids) == ["train/4", "train/5"]
    assert list(splits["test"].ids)[0] == "t10k/0"


def test_merged_validation(write_mnist, tmp_path):
    write_mnist()
    splits = mnist(tmp_path, merge_validation=True).splits()
    assert {name: len(split) for name, split in splits.items()} == {"train": 6, "test": 3}


def test_fingerprint_follows_items_and_split(write_mnist, tmp_path):
    write_mnist()
    first = mnist(tmp_path, validation_from=4).fingerprint()
    assert mnist(tmp_path, validation_from=4).fingerprint() == first
    assert mnist(tmp_path, validation_from=5).fingerprint() != first
    assert mnist(tmp_path, merge_validation=True).fingerprint() != first
    path = tmp_path / "train-labels-idx1-ubyte"
    path.write_bytes(path.read_bytes()[:-1] + b"\x09")
    assert mnist(tmp_path, validation_from=4).fingerprint() != first


def test_without_root_the_error_says_how_to_get_the_files(tmp_path):
    with pytest.raises(ConfigError, match=r"data\.root is missing.*t10k-labels.*ylecun/mnist"):
        Mnist(Mnist.Config()).splits()
    with pytest.raises(DataError, match=r"no such folder.*MNIST database.*-s data\.root=FOLDER"):
        mnist(tmp_path / "absent").splits()
    with pytest.raises(DataError, match=r"there is no train-images-idx3-ubyte\[\.gz\]"):
        mnist(tmp_path).splits()


def test_images_and_labels_must_be_as_many(write_mnist, tmp_path, to_idx):
    write_mnist()
    (tmp_path / "t10k-labels-idx1-ubyte").write_bytes(to_idx(np.zeros(2, np.uint8)))
    with pytest.raises(DataError, match="3 images but .*t10k-labels.* has 2 labels"):
        mnist(tmp_path, validation_from=4).splits()


def test_no_images_is_an_error(write_mnist, tmp_path):
    write_mnist(test=0)
    with pytest.raises(DataError, match="t10k-images-idx3-ubyte has no images"):
        mnist(tmp_path, validation_from=4).splits()


def test_validation_must_be_left_some_images(write_mnist, tmp_path):
    write_mnist()
    with pytest.raises(ConfigError, match="validation_from = 50000: there are 6"):
        mnist(tmp_path).splits()

"""The source ``celeba``: splits and columns from every form of the files, and bad ones named."""

from __future__ import annotations

import os
import re

import numpy as np
import pytest
from mmvae_benchmarks import Celeba
from mmvae_benchmarks.celeba import parquet, pictures, source
from mmvae_benchmarks.celeba.listing import ATTRIBUTES
from pydantic import ValidationError

from mmvae import ConfigError, DataError
from mmvae.data.size_bounds import Bounds


def celeba(root, **keys):
    keys = {"crop": "centre", "size": 8} | keys
    return Celeba(Celeba.Config(root=str(root), **keys))


def rows_of(split):
    """Which of the small set's pictures a split has, by the grey level of each."""
    return [round(int(p[4, 4, 0]) / 10) for p in split.columns["image"].read().values]


@pytest.fixture(params=["folder", "zip", "parquet"])
def written(request, small_celeba):
    if request.param == "parquet":
        return small_celeba.write_parquet()
    return small_celeba.write(zipped=request.param == "zip")


def test_every_form_gives_the_same_items(written):
    splits = celeba(written.root, split="official").splits()
    assert list(splits) == ["train", "validation", "test"]
    for code, split in enumerate(splits.values()):
        rows = [i for i in range(written.n) if written.partition[i] == code]
        assert rows_of(split) == rows
        attributes = split.columns["attributes"]
        assert attributes.names == ATTRIBUTES
        assert attributes.values.dtype == np.int8
        np.testing.assert_array_equal(attributes.values, written.attributes[rows])
        assert split.columns["image"].read().values.dtype == np.uint8


def test_ids_are_file_names(small_celeba):
    small_celeba.write()
    for split in celeba(small_celeba.root).splits().values():
        assert [str(i) for i in split.ids] == [small_celeba.names[r] for r in rows_of(split)]


def test_attributes_follow_the_pictures_that_are_kept(small_celeba, fake_faces):
    from mmvae_benchmarks.celeba.crop import Face

    small_celeba.write()
    fake_faces(
        lambda picture: [] if picture.getpixel((90, 110))[0] < 45 else [Face(39, 59, 100, 100)]
    )
    splits = celeba(small_celeba.root, crop="face", test=0.25).splits()
    assert sorted(r for split in splits.values() for r in rows_of(split)) == list(range(5, 12))
    for split in splits.values():
        expected = small_celeba.attributes[rows_of(split)]
        np.testing.assert_array_equal(split.columns["attributes"].values, expected)


def test_the_random_split_is_by_seed_and_keeps_its_test_items(small_celeba):
    small_celeba.write()
    splits = celeba(small_celeba.root, test=0.25, validation=0.2).splits()
    assert {name: len(split) for name, split in splits.items()} == {
        "train": 7,
        "validation": 2,
        "test": 3,
    }
    assert sorted(r for split in splits.values() for r in rows_of(split)) == list(range(12))
    without = celeba(small_celeba.root, test=0.25, validation=0).splits()
    assert list(without) == ["train", "test"]
    assert rows_of(without["test"]) == rows_of(splits["test"])
    other = celeba(small_celeba.root, test=0.25, split_seed=1).splits()
    assert rows_of(other["test"]) != rows_of(splits["test"])


def test_the_fingerprint_is_of_content_and_split(small_celeba, tmp_path):
    first = celeba(small_celeba.write().root).fingerprint()
    assert celeba(small_celeba.root, cache=str(tmp_path / "elsewhere")).fingerprint() == first
    for keys in ({"size": 16}, {"split": "official"}, {"split_seed": 3}, {"validation": 0.3}):
        assert celeba(small_celeba.root, **keys).fingerprint() != first
    small_celeba.attributes[5] *= -1
    small_celeba.write()
    assert celeba(small_celeba.root).fingerprint() != first


def test_the_pages_own_layout_and_a_doubled_folder_are_found(small_celeba):
    root = small_celeba.write().root
    for folder, name in (
        ("Anno", "list_attr_celeba.txt"),
        ("Eval", "list_eval_partition.txt"),
        ("Img", "img_align_celeba"),
    ):
        (root / folder).mkdir()
        (root / name).rename(root / folder / name)
    assert len(celeba(root, split="official").splits()["test"]) == 3
    images = root / "Img" / "img_align_celeba"
    images.rename(root / "Img" / "inner")
    images.mkdir()
    (root / "Img" / "inner").rename(images / "img_align_celeba")
    assert len(celeba(root, split="official").splits()["test"]) == 3


def test_without_the_data_the_error_says_where_they_are_and_how_to_draw_some(tmp_path):
    told = (
        "the CelebA page of the Multimedia Laboratory, The Chinese University of Hong Kong.*"
        "mmvae data make faces --items 10000 --out DIR"
    )
    with pytest.raises(ConfigError, match=r"data\.root is missing.*" + told):
        Celeba(Celeba.Config()).splits()
    with pytest.raises(DataError, match=r"absent': no such folder.*" + told):
        celeba(tmp_path / "absent").splits()
    with pytest.raises(DataError, match=r"there is no list_attr_celeba\.txt in it.*" + told):
        celeba(tmp_path).splits()


def test_the_missing_half_is_named(small_celeba):
    root = small_celeba.write().root
    (root / "img_align_celeba").rename(root / "pictures")
    with pytest.raises(DataError, match="no img_align_celeba or img_align_celeba.zip in it"):
        celeba(root).splits()
    (root / "pictures").rename(root / "img_align_celeba")
    (root / "list_eval_partition.txt").unlink()
    assert len(celeba(root).splits()["test"]) == 1
    with pytest.raises(DataError, match=r"'official': there is no list_eval_partition\.txt"):
        celeba(root, split="official").splits()
    (root / "list_attr_celeba.txt").unlink()
    with pytest.raises(DataError, match=r"there is no list_attr_celeba\.txt in it"):
        celeba(root).splits()


def test_a_partition_without_training_items(small_celeba):
    small_celeba.partition = [1, 2] * 6
    with pytest.raises(DataError, match="no training items among those kept"):
        celeba(small_celeba.write().root, split="official").splits()


@pytest.mark.parametrize(
    ("replaced", "said"),
    [
        ({"Smiling": None}, "there is no column 'Smiling'"),
        (
            {"image": lambda rows: [{"bytes": None, "path": None}] * len(rows)},
            "12 pictures cannot",
        ),
        ({"Young": lambda rows: [7] * len(rows)}, "row 0: got .*7.* for 'Young', expected true"),
        ({"Young": lambda rows: [None] * len(rows)}, "row 0: got .* for 'Young', expected true"),
    ],
)
def test_bad_tables_are_named(small_celeba, replaced, said):
    if replaced.get("Smiling", 0) is None:
        replaced["Smilling"] = lambda rows: [True] * len(rows)
        said += r".*Did you mean 'Smilling'\?"
    root = small_celeba.write_parquet(**replaced).root
    with pytest.raises(DataError, match=said):
        celeba(root).splits()


def test_one_parquet_file_is_the_training_split_and_caches_for_the_user(
    small_celeba, tmp_path, monkeypatch
):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "user"))
    small_celeba.partition = [0] * 12
    root = small_celeba.write_parquet().root
    for empty in ("valid", "test"):
        (root / "data" / f"{empty}-00000-of-00001.parquet").unlink()
    found = celeba(root / "data" / "train-00000-of-00001.parquet").splits()
    assert sum(len(split) for split in found.values()) == 12
    assert str(next(iter(found["test"].ids))).startswith("train/")
    assert len(list((tmp_path / "user" / "mmvae" / "celeba").glob("centre-8-*"))) == 1


def test_the_hub_is_asked_for_the_same_tables(small_celeba, tmp_path, monkeypatch):
    root, asked = small_celeba.write_parquet().root, []
    load = parquet.load_tables

    def from_disk(path):
        asked.append(path)
        if path == "flwrlabs/celeba":
            return load(str(root))
        raise DataError(f"{path}: not there.")

    monkeypatch.setattr(parquet, "load_tables", from_disk)
    keys = {"crop": "centre", "size": 8, "split": "official", "cache": str(tmp_path / "cache")}
    splits = Celeba(Celeba.Config(hub="flwrlabs/celeba", **keys)).splits()
    assert [len(split) for split in splits.values()] == [6, 3, 3]
    with pytest.raises(DataError, match=r"data\.hub = 'nobody/nothing': .*not there"):
        Celeba(Celeba.Config(hub="nobody/nothing", **keys)).splits()
    assert asked == ["flwrlabs/celeba", "nobody/nothing"]


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"hub": "flwrlabs/celeba"}, "give root or hub, not both"),
        ({"split": "official", "test": 0.2}, "test has no effect with split = 'official'"),
        ({"size": 0}, "size"),
        ({"crop": "nose"}, "crop"),
        ({"faces": {"widn": 1.5}}, "widn"),
    ],
)
def test_bad_keys_are_refused(keys, said):
    with pytest.raises(ValidationError, match=re.escape(said)):
        Celeba.Config(root="x", **keys)


def test_the_summary_is_a_remark(small_celeba):
    made = celeba(small_celeba.write().root)
    assert made.remarks() == ("12 of 12 pictures kept",)
    made.splits()


def test_a_large_set_is_not_made_resident():
    assert Celeba.Config(root="x").resident_gib * 2**30 < 200_000 * 32 * 32 * 3


def test_cached_pictures_are_beside_the_data(small_celeba, tmp_path):
    root = small_celeba.write().root
    celeba(root).splits()
    assert len(list((root / ".mmvae-cache").glob("centre-8-*/images.npy"))) == 1
    celeba(root, cache=str(tmp_path / "other")).splits()
    assert len(list((tmp_path / "other").glob("centre-8-*/images.npy"))) == 1
    assert source.workers(Celeba.Config(workers=3)) == 3
    assert source.workers(Celeba.Config()) >= 1


@pytest.mark.parametrize("zipped", [True, False])
def test_a_picture_of_gigabytes_is_not_read(small_celeba, zipped, monkeypatch):
    monkeypatch.setattr(pictures, "PICTURE", Bounds(file=2**20))
    small_celeba.files[small_celeba.names[3]] = bytes(2**20 + 1)
    small_celeba.write(zipped=zipped)
    with pytest.raises(DataError, match=r"000004\.jpg: .*1,048,577 bytes, expected 1,048,576"):
        celeba(small_celeba.root).splits()


def test_a_picture_that_is_a_pipe_is_not_waited_for(small_celeba):
    small_celeba.write()
    file = small_celeba.root / "img_align_celeba" / small_celeba.names[3]
    file.unlink()
    os.mkfifo(file)
    with pytest.raises(DataError, match=r"000004\.jpg"):
        celeba(small_celeba.root).splits()

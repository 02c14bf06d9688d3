"""PolyMNIST on procedural textures: a digit in five pictures, functions of seed and item."""

from __future__ import annotations

import numpy as np
import pytest
from mmvae_benchmarks import ProceduralPolymnist
from mmvae_benchmarks.polymnist.chance import uniforms
from mmvae_benchmarks.polymnist.pictures import drawn
from mmvae_benchmarks.polymnist.procedural import kept, partners
from mmvae_benchmarks.polymnist.textures import FAMILIES

from mmvae import ConfigError
from mmvae.testing import SourceContract

MODALITIES = ("m0", "m1", "m2", "m3", "m4")


@pytest.fixture
def root(write_mnist, tmp_path):
    write_mnist(train=60, test=20)
    return tmp_path


def source(root, **keys):
    return ProceduralPolymnist(
        ProceduralPolymnist.Config(root=str(root), validation_from=40, **keys)
    )


class TestContract(SourceContract):
    @pytest.fixture(autouse=True)
    def _root(self, root):
        self.root = root

    def make_source(self):
        return source(self.root)


def test_five_pictures_and_a_label(root):
    splits = source(root).splits()
    assert {name: len(s) for name, s in splits.items()} == {
        "train": 40,
        "validation": 20,
        "test": 20,
    }
    for split in splits.values():
        assert tuple(split.columns) == (*MODALITIES, "label")
        for m in MODALITIES:
            pictures = split.columns[m].read().values
            assert pictures.shape == (len(split), 28, 28, 3)
            assert pictures.dtype == np.uint8
    assert splits["test"].ids[3] == "t10k/3"


def test_the_five_show_one_digit_by_different_images(root):
    for split in source(root).splits().values():
        labels = split.columns["label"].values
        shown = [split.columns[m].values for m in MODALITIES]
        assert all(
            (np.bincount(labels) == np.bincount(labels[s.which - s.which.min()])).all()
            for s in shown
        )
        assert any((shown[0].which != s.which).any() for s in shown[1:])


def test_no_digit_of_one_split_is_shown_in_another(root):
    splits = source(root).splits()
    for m in MODALITIES:
        train, validation = (splits[s].columns[m].values.which for s in ("train", "validation"))
        assert not set(train) & set(validation)


def test_partners_permute_within_each_class():
    labels = np.arange(50) % 7
    found = partners(3, 1, labels, np.arange(50))
    assert sorted(found) == list(range(50))
    assert (labels[found] == labels).all()
    assert (partners(3, 2, labels, np.arange(50)) != found).any()


def test_strokes_invert_the_texture(root):
    items = np.arange(6)
    blank = np.zeros((6, 28, 28), np.uint8)
    for family in FAMILIES:
        texture = drawn(blank, family, 0, items).astype(int)
        stroke = drawn(np.full_like(blank, 255), family, 0, items).astype(int)
        assert abs(texture + stroke - 255).max() <= 1
        assert abs(texture - stroke).max(-1).min() > 30  # some channel of each pixel stands out


def test_textures_of_the_families_differ_and_so_do_those_of_items():
    for family in FAMILIES:
        pictures = family.pictures(0, np.arange(8))
        assert pictures.min() >= 0
        assert pictures.max() <= 1
        assert len(np.unique(pictures.reshape(8, -1), axis=0)) == 8
        assert (pictures.reshape(8, -1).std(1) > 0.01).all()  # none is plain
        assert (family.pictures(1, np.arange(8)) != pictures).any()
    fields = [f.field(uniforms(0, "x", np.arange(20), f.draws)) for f in FAMILIES]
    assert all(field.min() >= 0 and field.max() <= 1 for field in fields)


def test_chance_belongs_to_the_item_and_is_uniform():
    whole = uniforms(5, "a", np.arange(4000), 3)
    np.testing.assert_array_equal(uniforms(5, "a", np.array([7, 3]), 3), whole[[7, 3]])
    assert abs(whole.mean(0) - 0.5).max() < 0.02
    assert abs(np.corrcoef(whole.T) - np.eye(3)).max() < 0.06
    assert abs(np.corrcoef(whole[:-1, 0], whole[1:, 0])[0, 1]) < 0.06
    assert (uniforms(5, "b", np.arange(4), 3) != whole[:4]).all()
    assert (uniforms(6, "a", np.arange(4), 3) != whole[:4]).all()


def test_fewer_items_are_the_first_of_all(root):
    few, whole = source(root, items=10).splits(), source(root).splits()
    assert len(few["train"]) == 10
    for m in MODALITIES:
        first = whole["train"].columns[m].take(np.arange(10)).read().values
        np.testing.assert_array_equal(few["train"].columns[m].read().values, first)


def test_fewer_items_of_validation_and_test_are_the_first_ones(root):
    few, whole = source(root, held_out=7).splits(), source(root).splits()
    assert {name: len(s) for name, s in few.items()} == {"train": 40, "validation": 7, "test": 7}
    for name in ("validation", "test"):
        assert list(few[name].ids) == list(whole[name].ids[:7])
        pictures = (s[name].columns["m2"].read().values for s in (few, whole))
        assert (next(pictures) == next(pictures)[:7]).all()
    assert source(root, held_out=7).fingerprint() != source(root).fingerprint()


def test_the_fingerprint_follows_whatever_changes_items(root):
    prints = [
        source(root, **keys).fingerprint()
        for keys in ({}, {"resident": False}, {"seed": 1}, {"items": 10}, {"gaps": 0.5})
    ]
    assert prints[0] == prints[1]
    assert len(set(prints)) == 4


def test_gaps_are_a_share_of_all_values_and_leave_each_item_something():
    for gaps in (0.1, 0.5):
        has = kept(0, np.arange(20_000), 6, gaps)
        assert abs(has.mean() - (1 - gaps + gaps**6 / 6)) < 0.01
        assert has.any(1).all()
        assert abs(np.corrcoef(has.T) - np.eye(6)).max() < 0.05
    more = kept(0, np.arange(20_000), 6, 0.6)
    assert not (more & ~has & (has.sum(1) > 1)[:, None]).any()  # more gaps only take away


def test_training_and_validation_have_gaps_and_the_test_split_is_complete(root):
    splits = source(root, gaps=0.5).splits()
    whole = source(root).splits()
    for name, split in splits.items():
        for key, column in split.columns.items():
            assert (column.present is None) == (name == "test")
            there = column.without_missing().read().values
            all_of_them = whole[name].columns[key].read().values
            rows = slice(None) if column.present is None else column.present
            np.testing.assert_array_equal(there, all_of_them[rows])


def test_bad_folders_and_keys_say_what_to_do(root):
    with pytest.raises(ConfigError, match=r"data.root is missing: source 'polymnist-procedural'"):
        ProceduralPolymnist(ProceduralPolymnist.Config()).splits()
    with pytest.raises(ConfigError, match="validation_from = 99: there are 60"):
        ProceduralPolymnist(
            ProceduralPolymnist.Config(root=str(root), validation_from=99)
        ).splits()

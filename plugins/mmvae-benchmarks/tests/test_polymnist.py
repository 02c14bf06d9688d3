"""The published PolyMNIST: folders of files INDEX.LABEL.png become five modalities and a label."""

from __future__ import annotations

import io

import numpy as np
import pytest
from mmvae_benchmarks import Polymnist
from PIL import Image

from mmvae import ConfigError, DataError
from mmvae.testing import SourceContract


def picture(m, i):
    file = io.BytesIO()
    Image.fromarray(np.full((28, 28, 3), 10 * m + i, np.uint8)).save(file, "PNG")
    return file.getvalue()


@pytest.fixture
def root(tmp_path):
    """Twelve training items and four test items; item 3 has no picture in m2."""
    for split, n in (("train", 12), ("test", 4)):
        for m in range(5):
            folder = tmp_path / split / f"m{m}"
            folder.mkdir(parents=True)
            for i in range(n):
                if (m, i) != (2, 3):
                    (folder / f"{i}.{i % 10}.png").write_bytes(picture(m, i))
    return tmp_path


def source(root, **keys):
    return Polymnist(Polymnist.Config(root=str(root), **keys))


class TestContract(SourceContract):
    @pytest.fixture(autouse=True)
    def _root(self, root):
        self.root = root

    def make_source(self):
        return source(self.root)


def test_items_are_matched_by_name_and_labelled_by_it(root):
    splits = source(root, validation=0.25).splits()
    assert {n: len(s) for n, s in splits.items()} == {"train": 9, "validation": 3, "test": 4}
    test = splits["test"]
    assert list(test.columns) == ["m0", "m1", "m2", "m3", "m4", "label"]
    assert test.columns["label"].values.tolist() == [0, 1, 2, 3]
    assert test.ids == ["test/0.0", "test/1.1", "test/2.2", "test/3.3"]
    assert test.columns["m4"].take([1]).read().values == [picture(4, 1)]


def test_an_absent_picture_is_a_gap(root):
    columns = source(root).splits()["test"].columns
    assert columns["m2"].present.tolist() == [True, True, True, False]
    assert columns["m1"].present is None


def test_the_fingerprint_follows_the_files(root):
    first = source(root).fingerprint()
    assert source(root, split_seed=1).fingerprint() != first
    (root / "train" / "m1" / "5.5.png").write_bytes(picture(1, 6) + b" ")
    assert source(root).fingerprint() != first


def test_other_layouts_are_refused(root, tmp_path_factory):
    with pytest.raises(ConfigError, match=r"data.root is missing.*train/m0 to train/m4"):
        Polymnist(Polymnist.Config()).splits()
    with pytest.raises(DataError, match=r"train: no such folder.*polymnist-procedural"):
        source(tmp_path_factory.mktemp("empty")).splits()
    stray = root / "train" / "m1" / "cover.png"
    stray.write_bytes(picture(1, 1))
    with pytest.raises(DataError, match=r"item 'cover' has a name of another form.*INDEX.LABEL"):
        source(root).splits()
    stray.rename(root / "train" / "m1" / "7.2.png")
    with pytest.raises(DataError, match=r"item '7.7' has its index with another label"):
        source(root).splits()
    (root / "train" / "m1" / "7.2.png").unlink()
    (root / "test" / "m5").mkdir()
    with pytest.raises(DataError, match=r"train has m0.*but test has.*m5"):
        source(root).splits()

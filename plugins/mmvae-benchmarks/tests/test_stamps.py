"""Tux Paint's stamps in small: pictures, captions by language, gaps as they are, variants."""

from __future__ import annotations

import os

import numpy as np
import pytest
from mmvae_benchmarks import Stamps
from mmvae_benchmarks.stamps import original, read_captions, scaled
from PIL import Image

from mmvae import DataError
from mmvae.testing import SourceContract

SIZE = 8


@pytest.fixture
def root(tmp_path):
    """Twenty-four stamps, four of them mirrored variants, one drawn in SVG alone."""
    for i in range(20):
        folder = tmp_path / ("animals/birds" if i % 2 else "food")
        folder.mkdir(parents=True, exist_ok=True)
        if i == 7:
            (folder / "s7.svg").write_text("<svg/>")
        else:
            Image.new("RGBA", (20, 10), (10 * i, 0, 0, 255)).save(folder / f"s{i}.png")
        german = f"de.utf8=Ding {i}\n" if i != 4 else ""
        (folder / f"s{i}.txt").write_text(f"Thing {i}.\nfr.utf8=\n{german}")
        (folder / f"s{i}_desc_de.ogg").write_bytes(b"")
        if i in (1, 3, 5, 6):
            Image.new("RGB", (20, 10), (10 * i, 0, 9)).save(folder / f"s{i}_mirror.png")
    return tmp_path


def source(root, **keys):
    return Stamps(Stamps.Config(root=str(root), size=SIZE, **keys))


def by_id(root, column, **keys):
    """Id → value, or None where there is none, over all splits."""
    found = {}
    for split in source(root, **keys).splits().values():
        part = split.columns[column]
        present = np.ones(len(split), bool) if part.present is None else part.present
        values = part.read().values
        found |= {i: v if p else None for i, v, p in zip(split.ids, values, present, strict=True)}
    return found


class TestContract(SourceContract):
    @pytest.fixture(autouse=True)
    def _root(self, root):
        self.root = root

    def make_source(self):
        return source(self.root)


@pytest.mark.parametrize("ending", ["png", "txt"])
def test_files_that_are_no_regular_files_of_bounded_size_are_refused(root, ending):
    file = root / "food" / f"s0.{ending}"
    file.unlink()
    os.mkfifo(file)
    with pytest.raises(DataError, match=f"s0.{ending}: cannot be read .it is no regular file"):
        scaled(file, SIZE) if ending == "png" else read_captions(file)
    file.unlink()
    with file.open("wb") as big:
        big.truncate(1 << 30)
    with pytest.raises(DataError, match=f"s0.{ending}: 1,073,741,824 bytes, expected"):
        scaled(file, SIZE) if ending == "png" else read_captions(file)


def test_every_stamp_with_its_caption_and_category(root):
    splits = source(root).splits()
    assert sum(map(len, splits.values())) == 24
    assert splits["train"].columns["category"].names == ("animals", "food")
    captions, kinds = by_id(root, "caption"), by_id(root, "category")
    assert captions["food/s2"] == "Thing 2."
    assert captions["animals/birds/s1_mirror"] == "Thing 1."  # of what it mirrors
    assert (kinds["food/s2"], kinds["animals/birds/s3"]) == (1, 0)


def test_gaps_are_as_they_are(root):
    lacking = [i for i, picture in by_id(root, "picture").items() if picture is None]
    assert lacking == ["animals/birds/s7"]
    german = by_id(root, "caption", language="de")
    assert [i for i, caption in german.items() if caption is None] == ["food/s4"]
    assert german["food/s8"] == "Ding 8"
    (remark,) = source(root, language="de").remarks()
    assert remark.startswith("24 stamps: 23 with a picture")
    assert "23 with a caption in 'de'" in remark


@pytest.mark.parametrize("seed", range(12))
def test_a_mirrored_variant_is_in_the_split_of_its_stamp(root, seed):
    splits = source(root, validation=0.3, test=0.3, split_seed=seed).splits()
    home = {item: name for name, split in splits.items() for item in split.ids}
    for item, name in home.items():
        assert home[original(item)] == name
    assert set(home.values()) == {"train", "validation", "test"}


def test_variants_are_told_by_their_ending():
    assert original("a/car_mirror") == original("a/car_flip") == "a/car"
    assert original("a/car_mirror_flip") == "a/car"
    assert original("a/mirror") == "a/mirror"


def test_pictures_are_scaled_into_the_middle_of_white(root):
    pixels = np.asarray(scaled(root / "food" / "s6.png", SIZE))
    assert pixels.shape == (SIZE, SIZE, 3)
    assert (pixels[:2] == 255).all()
    assert (pixels[-2:] == 255).all()
    assert (pixels[2:6] == (60, 0, 0)).all()
    clear = root / "clear.png"
    Image.new("RGBA", (4, 4), (0, 0, 0, 0)).save(clear)
    assert (np.asarray(scaled(clear, SIZE)) == 255).all()


def test_captions_of_a_file(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("A thing.\nde.utf8=Ein Ding = gut\nfr.utf8=\nnonsense\n", encoding="utf-8-sig")
    assert read_captions(path) == {"en": "A thing.", "de": "Ein Ding = gut"}
    path.write_text("")
    assert read_captions(path) == {}


def test_the_fingerprint_follows_files_and_keys(root):
    first = source(root).fingerprint()
    marks = {
        first,
        *(source(root, **k).fingerprint() for k in ({"language": "de"}, {"test": 0.2})),
    }
    (root / "food" / "s2.txt").write_text("Another thing.")
    marks.add(source(root).fingerprint())
    assert len(marks) == 4


def test_where_they_are_not_installed_the_error_says_how(root, tmp_path_factory):
    empty = tmp_path_factory.mktemp("empty")
    with pytest.raises(DataError, match=r"no such folder.*apt install tuxpaint-stamps-default"):
        source(empty / "nowhere").splits()
    with pytest.raises(DataError, match=r"no stamps in it.*apt install tuxpaint-stamps-default"):
        source(empty).splits()
    with pytest.raises(DataError, match=r"data.language = 'dee'.*there are de, en. Did you mean"):
        source(root, language="dee").splits()
    broken = root / "food" / "s2.png"
    broken.write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"s2.png: no picture.*Install the stamps again"):
        by_id(root, "picture")

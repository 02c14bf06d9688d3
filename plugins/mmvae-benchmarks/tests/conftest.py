"""Fixtures: small MNIST-shaped files in IDX form, and CelebA in small."""

from __future__ import annotations

import gzip
import io
import struct
import zipfile

import numpy as np
import pytest
from PIL import Image


def idx_bytes(array, type_code=0x08):
    """The array of unsigned bytes in IDX form."""
    header = struct.pack(f">BBBB{array.ndim}I", 0, 0, type_code, array.ndim, *array.shape)
    return header + array.astype(np.uint8).tobytes()


@pytest.fixture
def to_idx():
    return idx_bytes


@pytest.fixture
def write_mnist(tmp_path):
    """Write four IDX files of random pictures to ``tmp_path``; returns the arrays by stem."""

    def write(train=6, test=3, spelling="-", compressed=False):
        rng = np.random.default_rng(0)
        arrays = {}
        for part, n in (("train", train), ("t10k", test)):
            arrays[f"{part}-images"] = rng.integers(0, 256, (n, 28, 28), dtype=np.uint8)
            arrays[f"{part}-labels"] = rng.integers(0, 10, n, dtype=np.uint8)
        for stem, array in arrays.items():
            data = idx_bytes(array)
            name = f"{stem}{spelling}idx{array.ndim}-ubyte" + (".gz" if compressed else "")
            (tmp_path / name).write_bytes(gzip.compress(data) if compressed else data)
        return arrays

    return write


ATTRIBUTES = (
    "5_o_Clock_Shadow Arched_Eyebrows Attractive Bags_Under_Eyes Bald Bangs Big_Lips Big_Nose "
    "Black_Hair Blond_Hair Blurry Brown_Hair Bushy_Eyebrows Chubby Double_Chin Eyeglasses Goatee "
    "Gray_Hair Heavy_Makeup High_Cheekbones Male Mouth_Slightly_Open Mustache Narrow_Eyes "
    "No_Beard Oval_Face Pale_Skin Pointy_Nose Receding_Hairline Rosy_Cheeks Sideburns Smiling "
    "Straight_Hair Wavy_Hair Wearing_Earrings Wearing_Hat Wearing_Lipstick Wearing_Necklace "
    "Wearing_Necktie Young"
).split()
"""The forty names as list_attr_celeba.txt has them."""


def grey_jpeg(level, size=(178, 218)):
    """A picture of one grey level in a frame of black and white, as a JPEG file's content."""
    picture = Image.new("RGB", size, (level, level, level))
    picture.paste((0, 0, 0), (0, 0, size[0], 2))
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=95)
    return file.getvalue()


class SmallCeleba:
    """CelebA in small: picture i has grey level 10·i; attributes and partition at random."""

    def __init__(self, root, n=12):
        rng = np.random.default_rng(0)
        self.root, self.n = root, n
        self.names = [f"{i + 1:06d}.jpg" for i in range(n)]
        self.files = {name: grey_jpeg(10 * i % 250) for i, name in enumerate(self.names)}
        self.attributes = rng.choice([-1, 1], (n, 40))
        self.partition = [(0, 0, 1, 2)[i % 4] for i in range(n)]

    def write(self, zipped=False):
        self.root.mkdir(exist_ok=True)
        if zipped:
            with zipfile.ZipFile(self.root / "img_align_celeba.zip", "w") as archive:
                for name, content in self.files.items():
                    archive.writestr(f"img_align_celeba/{name}", content)
        else:
            folder = self.root / "img_align_celeba"
            folder.mkdir(exist_ok=True)
            for name, content in self.files.items():
                (folder / name).write_bytes(content)
        rows = [
            f"{name}  " + " ".join(f"{v:2d}" for v in row)
            for name, row in zip(self.names, self.attributes, strict=True)
        ]
        listing = [str(self.n), " ".join(ATTRIBUTES) + " ", *rows]
        (self.root / "list_attr_celeba.txt").write_text("\n".join(listing) + "\n")
        lines = [f"{n} {code}\n" for n, code in zip(self.names, self.partition, strict=True)]
        (self.root / "list_eval_partition.txt").write_text("".join(lines))
        return self

    def write_parquet(self, **replaced):
        """Three Parquet files with the columns of the Hub's flwrlabs/celeba."""
        import datasets

        (self.root / "data").mkdir(parents=True)
        for code, split in enumerate(("train", "valid", "test")):
            rows = [i for i in range(self.n) if self.partition[i] == code]
            columns = {
                "image": [{"bytes": self.files[self.names[i]], "path": None} for i in rows],
                "celeb_id": rows,
            }
            columns |= {
                a: [bool(self.attributes[i, k] > 0) for i in rows]
                for k, a in enumerate(ATTRIBUTES)
            }
            columns |= {k: v and v(rows) for k, v in replaced.items()}
            columns = {k: v for k, v in columns.items() if v is not None}
            table = datasets.Dataset.from_dict(columns).cast_column("image", datasets.Image())
            table.to_parquet(self.root / "data" / f"{split}-00000-of-00001.parquet")
        return self


@pytest.fixture
def small_celeba(tmp_path):
    return SmallCeleba(tmp_path / "celeba")


@pytest.fixture
def fake_faces(monkeypatch):
    """Let a face be found where the function returned here is told to find one.

    By default one face of 100×100 pixels in the middle of every picture.
    """
    from mmvae_benchmarks.celeba import crop

    def default(picture):
        return [crop.Face(39, 59, 100, 100)]

    found = {"faces": default}

    class Detector:
        def __init__(self, settings):
            self.settings = settings

        def __call__(self, picture):
            return found["faces"](picture)

    monkeypatch.setattr(crop, "FaceDetector", Detector)

    def set_faces(function):
        found["faces"] = function

    return set_faces

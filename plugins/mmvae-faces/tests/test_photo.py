"""Photographs are cut as a run's data are, and what cannot be cut is refused with its file."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from mmvae_benchmarks.celeba import crop as crops
from mmvae_benchmarks.celeba.crop import Face, FaceSettings
from mmvae_benchmarks.celeba.recipe import Recipe
from mmvae_benchmarks.celeba.source import CelebaConfig
from mmvae_faces.photo import SOUGHT, PhotoCrop, find_faces, photo_input, read_photo
from PIL import Image
from torch.testing import assert_close

from mmvae import DataError, SourceConfig, UsageError

MIDDLE = Face(39, 59, 100, 100)


@pytest.fixture
def detector(monkeypatch):
    """Let these faces be found, by default one in the middle; the list of what was searched."""

    class Detector:
        faces, seen = [MIDDLE], []

        def __init__(self, settings):
            self.settings = settings

        def __call__(self, picture):
            self.seen.append(picture)
            return sorted(self.faces, key=lambda face: -face.width)

    Detector.seen = []
    monkeypatch.setattr(crops, "FaceDetector", Detector)
    return Detector


def noise(*size):
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8))


@pytest.fixture
def photo(tmp_path):
    """A picture of CelebA's size."""
    path = tmp_path / "photo.png"
    noise(218, 178).save(path)
    return path


FACE = PhotoCrop("face", FaceSettings())


@pytest.mark.parametrize("kind", ["face", "centre"])
def test_the_crop_is_that_of_the_source(photo, detector, kind):
    config = CelebaConfig(crop=kind, faces=FaceSettings(widen=1.2))
    ours = PhotoCrop.of("celeba", config)(photo, 32, 3, None)
    theirs = Recipe(kind, 32, config.faces).cutter()(photo.read_bytes())
    assert (np.asarray(ours) == theirs).all()


def test_another_source_must_be_told_the_crop():
    with pytest.raises(UsageError, match="source 'table' does not say.*--crop face"):
        PhotoCrop.of("table", SourceConfig())
    assert PhotoCrop.of("table", SourceConfig(), "centre").kind == "centre"
    assert PhotoCrop.of("celeba", CelebaConfig(crop="face"), "centre").kind == "centre"


def test_a_large_picture_is_searched_small_and_cut_large(tmp_path, detector):
    path, detector.faces = tmp_path / "large.png", [Face(100, 100, 200, 200)]
    large = Image.new("RGB", (4 * SOUGHT, 3 * SOUGHT), "black")
    large.paste((255, 255, 255), (4 * 70, 4 * 70, 4 * 330, 4 * 330))  # the face, 1.3 times as wide
    large.save(path)
    assert (np.asarray(FACE(path, 16, 3, None))[1:-1, 1:-1] == 255).all()
    assert max(detector.seen[0].size) == SOUGHT
    assert find_faces(large, FaceSettings()) == [Face(400, 400, 800, 800)]


def test_a_face_may_be_small_in_its_picture(photo, detector):
    detector.faces = [Face(50, 50, 12, 12)]
    assert FACE(photo, 8, 3, None).size == (8, 8)


@pytest.mark.parametrize(
    ("faces", "which", "message"),
    [
        ([], None, "no face found.*--crop centre"),
        ([Face(5 + 60 * i, 60, 40 + i, 40 + i) for i in range(3)], None, "3 faces.*--face 3,"),
        ([MIDDLE], 2, "no face 2; 1 found"),
        ([Face(0, 0, 100, 100)], None, "1.3 times as wide as it, reaches out of the picture"),
    ],
)
def test_no_face_several_or_one_at_the_edge(photo, detector, faces, which, message):
    detector.faces = faces
    with pytest.raises(DataError, match=f"^{photo}: .*{message}"):
        FACE(photo, 8, 3, which)


def test_faces_are_counted_from_the_left_and_specks_are_none(photo, detector):
    detector.faces = [Face(110, 60, 40, 40), Face(20, 60, 30, 30), Face(70, 10, 12, 12)]
    found = find_faces(read_photo(photo), FaceSettings())
    assert found == [Face(20, 60, 30, 30), Face(110, 60, 40, 40)]
    left = np.asarray(FACE(photo, 8, 3, 1))
    detector.faces = [Face(20, 60, 30, 30)]
    assert (np.asarray(FACE(photo, 8, 3, None)) == left).all()


def test_grey_cmyk_palette_and_rotated_pictures_are_read(tmp_path):
    picture = Image.new("RGB", (30, 20), (200, 40, 40))
    picture.paste((40, 40, 200), (0, 0, 30, 10))  # blue above
    exif = Image.Exif()
    exif[0x0112] = 6
    saved = {
        "cmyk.jpg": (picture.convert("CMYK"), {}),
        "palette.png": (picture.convert("P"), {}),
        "alpha.png": (picture.convert("RGBA"), {}),
        "turned.jpg": (picture.rotate(90, expand=True), {"exif": exif}),
    }
    for name, (image, keys) in saved.items():
        image.save(tmp_path / name, **keys)
        read = read_photo(tmp_path / name)
        assert (read.mode, read.size) == ("RGB", (30, 20)), name
        assert read.getpixel((15, 3))[2] > 150, name
        assert read.getpixel((15, 16))[0] > 150, name
    picture.convert("L").save(tmp_path / "grey.png")
    assert read_photo(tmp_path / "grey.png").mode == "RGB"


def png_of(width, height):
    """A PNG file that says it is so large and holds nothing."""

    def chunk(kind, content):
        check = struct.pack(">I", zlib.crc32(kind + content))
        return struct.pack(">I", len(content)) + kind + content + check

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IEND", b"")


def jpeg(picture):
    file = io.BytesIO()
    picture.save(file, "JPEG")
    return file.getvalue()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "no picture of a known format"),
        (b"<html>not found</html>", "no picture of a known format"),
        (jpeg(noise(64, 64))[:-200], "truncated"),
        (png_of(10_000, 10_000), "10000×10000 pixels are too many"),
        (png_of(60_000, 60_000), "decompression bomb"),
    ],
    ids=["empty", "no picture", "truncated", "too large", "bomb"],
)
def test_what_is_no_picture_is_refused(tmp_path, content, message):
    path = tmp_path / "photo.jpg"
    path.write_bytes(content)
    with pytest.raises(DataError, match=f"^{path}: .*{message}"):
        read_photo(path)


def test_what_is_no_file_is_refused(tmp_path):
    with pytest.raises(DataError, match="nowhere.jpg: there is no such file"):
        read_photo(tmp_path / "nowhere.jpg")
    with pytest.raises(DataError, match=f"{tmp_path}: is a folder"):
        read_photo(tmp_path)


def test_a_photograph_becomes_model_input(linear, photo):
    crop = PhotoCrop("centre", FaceSettings())
    x = photo_input(linear, crop, photo, None)
    pixels = np.asarray(crop(photo, 4, 3, None), np.float32) / 255
    assert_close(x[0].permute(1, 2, 0).numpy(), pixels)
    assert crop(photo, 4, 1, None).mode == "L"


def test_the_cascade_finds_a_drawn_face(drawn):
    pytest.importorskip("cv2", exc_type=ImportError)
    assert FACE(drawn / "img_align_celeba" / "000001.jpg", 32, 3, None).size == (32, 32)

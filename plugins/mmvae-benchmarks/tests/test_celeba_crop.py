"""Crops: boxes by arithmetic, pictures upright and in colour, and OpenCV as it must be."""

from __future__ import annotations

import io
import types

import numpy as np
import pytest
from mmvae_benchmarks.celeba import crop
from mmvae_benchmarks.celeba.crop import Box, Face, FaceSettings, Outcome
from mmvae_benchmarks.celeba.pictures import Unreadable
from PIL import Image

from mmvae import DataError

SETTINGS = FaceSettings()
NOISE = Image.effect_noise((64, 64), 50)


def encoded(picture, form="PNG", **options):
    file = io.BytesIO()
    picture.save(file, form, **options)
    return file.getvalue()


def test_the_box_is_widened_about_the_faces_centre():
    box = crop.face_box([Face(40, 60, 100, 100)], 178, 218, SETTINGS)
    assert box == pytest.approx((25, 45, 155, 175))


@pytest.mark.parametrize(
    ("face", "outcome"),
    [
        (None, Outcome.NO_FACE),
        (Face(14, 60, 100, 100), Outcome.OUTSIDE),  # 15 more to each side
        (Face(40, 104, 100, 100), Outcome.OUTSIDE),
        (Face(60, 80, 67, 67), Outcome.NARROW),  # 87.1 wide, and 0.4 of the height is 87.2
    ],
)
def test_a_picture_is_left_out_for_a_reason(face, outcome):
    assert crop.face_box([face] if face else [], 178, 218, SETTINGS) is outcome
    if outcome is Outcome.NARROW:
        assert isinstance(crop.face_box([face], 178, 217, SETTINGS), Box)


def test_the_first_face_counts():
    faces = [Face(40, 60, 100, 100), Face(0, 0, 20, 20)]
    assert isinstance(crop.face_box(faces, 178, 218, SETTINGS), Box)
    assert crop.face_box(faces[::-1], 178, 218, SETTINGS) is Outcome.NARROW


def test_the_centre_is_the_largest_square():
    assert crop.centre_box(178, 218) == (0, 20, 178, 198)
    assert crop.centre_box(218, 178) == (20, 0, 198, 178)


def test_a_crop_keeps_what_is_in_the_box():
    picture = Image.new("RGB", (178, 218), (255, 0, 0))
    picture.paste((0, 0, 255), (30, 40, 130, 140))
    pixels = crop.cropped(picture, Box(30, 40, 130, 140), 32)
    assert pixels.shape == (32, 32, 3)
    assert (pixels[2:-2, 2:-2] == (0, 0, 255)).all()  # at the edge, scaling looks beyond it


def test_grey_palette_and_cmyk_become_colour():
    grey = Image.new("L", (8, 8), 77)
    for picture, form in ((grey, "PNG"), (grey.convert("P"), "PNG"), (grey, "JPEG")):
        assert np.asarray(crop.opened(encoded(picture, form))).tolist()[0][0] == [77, 77, 77]
    cmyk = Image.new("RGB", (8, 8), (250, 10, 10)).convert("CMYK")
    red, green, blue = np.asarray(crop.opened(encoded(cmyk, "JPEG")))[0, 0]
    assert red > 200
    assert max(green, blue) < 60


def test_a_picture_is_turned_upright():
    picture = Image.new("RGB", (20, 10))
    picture.paste((255, 255, 255), (0, 0, 5, 10))  # its left is the top of what was seen
    exif = Image.Exif()
    exif[0x0112] = 6
    upright = crop.opened(encoded(picture, "PNG", exif=exif))
    assert upright.size == (10, 20)
    assert np.asarray(upright)[0].min() == 255
    assert np.asarray(upright)[-1].max() == 0


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "no picture"),
        (b"<html>not found</html>", "no picture of a known format"),
        (encoded(NOISE, "JPEG")[:-200], "truncated"),
        (encoded(Image.new("I;16", (8, 8))), "more than 8 bits"),
    ],
)
def test_what_is_no_whole_picture_is_unreadable(content, said):
    with pytest.raises(Unreadable, match=said):
        crop.opened(content)


def test_a_picture_with_too_many_pixels_is_not_decoded(monkeypatch):
    bomb = encoded(Image.new("1", (14_000, 14_000)))
    assert len(bomb) < 100_000
    with pytest.raises(Unreadable):
        crop.opened(bomb)
    monkeypatch.setattr(crop, "MOST_PIXELS", 99)
    with pytest.raises(Unreadable, match="10×10 pixels are too many"):
        crop.opened(encoded(Image.new("L", (10, 10))))


def test_without_opencv_the_error_has_the_install_line(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "cv2", None)
    with pytest.raises(DataError, match=r'needs OpenCV .*pip install "mmvae-benchmarks\[faces\]"'):
        crop.FaceDetector(SETTINGS)


def test_opencv_without_cascades_is_refused(monkeypatch):
    newer = types.SimpleNamespace(__version__="5.0.0")
    monkeypatch.setitem(__import__("sys").modules, "cv2", newer)
    with pytest.raises(DataError, match=r"OpenCV 5\.0\.0 has no CascadeClassifier.*before 5"):
        crop.FaceDetector(SETTINGS)


def test_the_cascade_finds_no_face_in_a_blank_picture():
    pytest.importorskip("cv2")
    detector = crop.FaceDetector(SETTINGS)
    assert detector(Image.new("RGB", (178, 218), (90, 90, 90))) == []


def test_faces_come_largest_first(monkeypatch):
    pytest.importorskip("cv2")
    detector = crop.FaceDetector(SETTINGS)
    found = np.array([[0, 0, 20, 20], [5, 5, 50, 50]])
    cascade = types.SimpleNamespace(detectMultiScale=lambda *a, **k: found)
    monkeypatch.setattr(detector, "_cascade", cascade)
    assert detector(Image.new("RGB", (60, 60))) == [Face(5, 5, 50, 50), Face(0, 0, 20, 20)]


def test_what_is_transparent_is_white():
    hidden = np.zeros((2, 2, 4), np.uint8)
    hidden[0, :, 3] = 255
    found = np.asarray(crop.opened(encoded(Image.fromarray(hidden))))
    assert found[:, 0].tolist() == [[0, 0, 0], [255, 255, 255]]

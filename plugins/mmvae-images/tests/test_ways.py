"""One honest reading of a picture by every way in, and a doubt where it may not be meant so."""

from __future__ import annotations

import csv
import io
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import datasets
import numpy as np
import pandas as pd
import pytest
from mmvae_images import BernoulliImage
from mmvae_images.doubts import doubts
from mmvae_images.pixels import read
from PIL import Image

from mmvae import Column, UnsupportedValue
from mmvae.data.in_memory import as_split
from mmvae.data.item_folder import read_folder
from mmvae.data.table import load_tables
from mmvae.inference.conditions import given_column

UPRIGHT = np.arange(0, 240, 10, dtype=np.uint8).reshape(4, 6)


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "hf-cache")


def encoded(picture: Image.Image, form: str = "PNG", **options) -> bytes:
    file = io.BytesIO()
    picture.save(file, form, **options)
    return file.getvalue()


def turned(orientation: int) -> bytes:
    """:data:`UPRIGHT` as a camera writes it that was held in one of eight ways."""
    undo = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # of Image.Transpose, to turn it away
    exif, picture = Image.Exif(), Image.fromarray(UPRIGHT)
    exif[0x0112] = orientation
    if orientation in undo:
        picture = picture.transpose(Image.Transpose(undo[orientation]))
    return encoded(picture, exif=exif)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_picture_is_upright_by_every_way_in(tmp_path: Path, orientation: int) -> None:
    data, folder = turned(orientation), tmp_path / "items"
    (folder / "pic").mkdir(parents=True)
    file = folder / "pic" / "1.png"
    file.write_bytes(data)
    table = datasets.Dataset.from_dict(
        {"pic": [{"bytes": data, "path": None}]}, features=datasets.Features(pic=datasets.Image())
    )
    table.to_parquet(str(tmp_path / "t.parquet"))
    with (tmp_path / "t.csv").open("w") as lines:
        csv.writer(lines).writerows([["pic", "n"], [str(file), 1]])
    ways = {
        "bytes": as_split({"pic": [data]}, "d"),
        "path": as_split({"pic": [str(file)]}, "d"),
        "Path": as_split({"pic": [file]}, "d"),
        "PIL": as_split({"pic": [Image.open(io.BytesIO(data))]}, "d"),
        "array": as_split({"pic": UPRIGHT[None]}, "d"),
        "DataFrame": as_split(pd.DataFrame({"pic": [data]}), "d"),
        "Dataset": as_split(table, "d"),
        "stream": as_split(table.to_iterable_dataset(), "d"),
        "Parquet": load_tables(str(tmp_path / "t.parquet"))["train"],
        "CSV": load_tables(str(tmp_path / "t.csv"))["train"],
        "folder": read_folder(folder),
    }
    config = BernoulliImage.Config()
    codec = BernoulliImage(config, BernoulliImage(config).fit(Column(UPRIGHT[None])))
    columns = {way: split.columns["pic"].read() for way, split in ways.items()}
    columns["--given"] = codec.parse(str(file))
    columns["given"] = given_column(codec, "pic", Image.open(file))
    for way, column in columns.items():
        pixels, _ = codec.prepare(column)
        np.testing.assert_array_equal(pixels[0, 0], UPRIGHT, err_msg=way)


def test_a_table_that_names_a_mode_is_read_in_it(tmp_path: Path) -> None:
    features = datasets.Features(pic=datasets.Image(mode="L"))
    colour = encoded(Image.new("RGB", (3, 2), (250, 0, 0)))
    table = datasets.Dataset.from_dict(
        {"pic": [{"bytes": colour, "path": None}, None]}, features=features
    )
    table.to_parquet(str(tmp_path / "t.parquet"))
    column = load_tables(str(tmp_path / "t.parquet"))["train"].columns["pic"]
    found = read(column.without_missing().read())
    np.testing.assert_array_equal(found, read(as_split(table, "d").columns["pic"].take([0])))
    assert found.shape == (1, 1, 2, 3)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("kind", ["RGBA", "LA", "P", "tRNS", "GIF"])
def test_what_is_transparent_is_white_whatever_colour_it_hides(kind: str, channels: int) -> None:
    alpha = np.array([[0, 255]], np.uint8)
    if kind == "RGBA":
        hidden = np.array([[[9, 9, 9], [0, 0, 0]]], np.uint8)
        data = encoded(Image.fromarray(np.dstack([hidden, alpha])))
    elif kind == "LA":
        data = encoded(Image.fromarray(np.dstack([np.array([[9, 0]], np.uint8), alpha])))
    elif kind == "tRNS":
        grey = Image.fromarray(np.array([[9, 0]], np.uint8))
        data = encoded(grey, transparency=9)
    else:
        palette = Image.new("P", (2, 1))
        palette.putpalette([9, 9, 9, 0, 0, 0])
        palette.putpixel((1, 0), 1)
        data = encoded(palette, "GIF" if kind == "GIF" else "PNG", transparency=0)
    for value in (data, Image.open(io.BytesIO(data)), {"bytes": data, "path": None}):
        assert read(Column([value]), channels)[0, :, 0].tolist() == [[255, 0]] * channels
        assert list(doubts(Column([value]))) == [(0, "transparent pixels, laid on white")]


def test_a_picture_that_covers_all_keeps_its_colours() -> None:
    colours = np.random.default_rng(0).integers(0, 256, (4, 5, 3), np.uint8)
    opaque = Image.fromarray(np.dstack([colours, np.full((4, 5), 255, np.uint8)]))
    np.testing.assert_array_equal(read(Column([opaque]), 3)[0], np.moveaxis(colours, -1, 0))
    assert list(doubts(Column([opaque]))) == []


def deep(channels: int) -> bytes:
    """A PNG of 16 bits a channel, one pixel of 0x1234."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        checked = kind + data
        return struct.pack(">I", len(data)) + checked + struct.pack(">I", zlib.crc32(checked))

    header = struct.pack(">IIBBBBB", 1, 1, 16, {1: 0, 3: 2}[channels], 0, 0, 0)
    pixels = zlib.compress(b"\0" + b"\x12\x34" * channels)
    parts = [(b"IHDR", header), (b"IDAT", pixels), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)


def test_16_bits_are_refused_or_told() -> None:
    with pytest.raises(UnsupportedValue, match="mode I;16.*scale deeper pictures"):
        read(Column([deep(1)]), 1)
    assert read(Column([deep(3)])).ravel().tolist() == [0x12] * 3
    assert list(doubts(Column([deep(3)]))) == [(0, "16 bits a channel, read as 8")]


@pytest.mark.parametrize(
    ("value", "doubt"),
    [
        (np.eye(3, dtype=np.uint8), "pixels of 0 and 1 alone, read as levels of 0..255"),
        ([[0, 1], [1, 0]], "pixels of 0 and 1 alone"),
        (Image.fromarray(np.eye(3, dtype=np.uint8)), "pixels of 0 and 1 alone"),
        (np.full((2, 2), 200, np.uint16), "pixels of type uint16, read as levels of 0..255"),
        (Image.new("CMYK", (2, 2)), "colours as CMYK, converted without their profile"),
        (
            encoded(
                Image.new("L", (2, 2)),
                "GIF",
                save_all=True,
                append_images=[Image.new("L", (2, 2), 9)],
            ),
            "several pictures in one file, of which the first is read",
        ),
    ],
)
def test_what_may_not_be_meant_is_doubted(value, doubt: str) -> None:
    plain = np.full((2, 2), 7, np.uint8)
    ((row, told),) = doubts(Column([plain, value]))
    assert row == 1
    assert told.startswith(doubt)


@pytest.mark.parametrize(
    "value",
    [np.eye(3, dtype=bool), np.eye(3), np.zeros((3, 3), np.uint8), Image.new("1", (3, 3), 1)],
)
def test_black_and_white_that_says_so_is_not_doubted(value) -> None:
    assert list(doubts(Column([value]))) == []


def test_pictures_of_several_types_keep_each_its_scale() -> None:
    forms = [np.ones((2, 2), bool), np.full((2, 2), 255, np.uint8), np.full((2, 2), 255)]
    assert read(Column(forms)).min() == 255
    found = read(Column([*forms, np.ones((2, 2), np.float32)]))
    assert found.dtype == np.float32
    assert set(found.ravel().tolist()) == {1.0}
    with pytest.raises(UnsupportedValue, match="row 1: got 256 at line 0, column 1"):
        read(Column([np.ones((2, 2), bool), np.array([[0, 256], [0, 0]])]))


def test_a_masked_pixel_does_not_change_the_scale_of_other_pictures() -> None:
    masked = np.ma.array(np.full((3, 2, 2), 217, np.uint8), mask=False)
    masked[1, 0, 1] = np.ma.masked
    others = as_split({"pic": masked}, "d").columns["pic"].take([0, 2])
    assert read(others).tolist() == np.full((2, 1, 2, 2), 217).tolist()


def test_masked_pixels_are_refused() -> None:
    masked = np.ma.array(np.full((3, 2, 2), 9, np.uint8), mask=False)
    masked[1, 0, 1] = np.ma.masked
    split = as_split({"pic": masked}, "d")
    with pytest.raises(UnsupportedValue, match="row 1: got nan at line 0, column 1.*Fill NaN"):
        read(split.columns["pic"])


def test_a_path_is_told_as_it_was_looked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    Image.fromarray(UPRIGHT).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read(Column(["~/a.png", "a.png"]))[0, 0], UPRIGHT)
    with pytest.raises(UnsupportedValue, match=rf"There is no such file: {tmp_path}/b.png\."):
        read(Column(["b.png"]))
    with pytest.raises(UnsupportedValue, match="a folder or no regular file"):
        read(Column([str(tmp_path)]))


def halved(picture: bytes) -> Image.Image:
    """A picture that is not decoded yet, of which half is missing."""
    return Image.open(io.BytesIO(picture[: len(picture) // 2]))


def test_what_cannot_be_read_is_not_doubted() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (50, 50, 4), np.uint8)
    data = encoded(Image.fromarray(noise))
    values = [halved(data), Image.new("La", (2, 2)), [[1, 2], [3]], "no such file", data[:900]]
    assert list(doubts(Column([*values, data]))) == [(5, "transparent pixels, laid on white")]
    for value in values:
        with pytest.raises(UnsupportedValue):
            read(Column([value]), 1)


@pytest.mark.parametrize("name", ["_of_array", "_of_image"])
def test_errors_of_the_program_are_not_passed_over(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def wrong(*values: object) -> None:
        raise KeyError(name)

    monkeypatch.setattr(f"mmvae_images.doubts.{name}", wrong)
    with pytest.raises(KeyError, match=name):
        list(doubts(Column([np.zeros((2, 2)), Image.new("L", (2, 2))])))


def test_importing_leaves_the_warnings_of_pillow_as_they_are() -> None:
    program = (
        "import warnings; from PIL import Image; import mmvae_images\n"
        "print([f for f in warnings.filters if f[2] is Image.DecompressionBombWarning])"
    )
    ended = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True)
    assert ended.stdout.strip() == b"[]"

"""Sheets of pictures and text, and what is said without matplotlib."""

from __future__ import annotations

import io
import sys

import numpy as np
import pytest
from PIL import Image

from mmvae.foundations.errors import UsageError
from mmvae.report.canvas import DPI, class_styles, require_matplotlib, sheet, short_numbers


def opened(data: bytes) -> Image.Image:
    picture = Image.open(io.BytesIO(data))
    picture.load()
    return picture


def test_a_sheet_shows_pictures_of_any_mode_and_text() -> None:
    rows = [
        [Image.new("L", (4, 4), 255), Image.new("L", (2, 6), 128)],
        [Image.new("RGB", (4, 4), (255, 0, 0)), "a long text, shortened " * 9],
        ["7", ""],
    ]
    picture = opened(sheet(rows, ["grey", "colour", "text"], [("one", 1), ("two", 1)]))
    colours = {rgb for _, rgb in picture.convert("RGB").getcolors(2**24)}
    assert {(255, 0, 0), (128, 128, 128)} <= colours
    assert picture.info["dpi"] == pytest.approx((DPI, DPI), abs=0.1)


def test_grey_levels_are_shown_as_they_are_and_not_stretched() -> None:
    rows = [[Image.new("L", (4, 4), 100), Image.new("L", (4, 4), 110)]]
    picture = opened(sheet(rows, ["level"])).convert("RGB")
    common = [rgb for _, rgb in sorted(picture.getcolors(2**24), reverse=True)[:3]]
    assert {(100, 100, 100), (110, 110, 110)} <= set(common)


@pytest.mark.parametrize("columns", [1, 10])
def test_labels_of_any_length_are_whole(columns: int) -> None:
    """A column of white stands left of every label, and as many letters as without others."""
    rows = [["7"] * columns] * 2
    for label in ("given angle + direction + speed", "WWWWWWWW", "i"):
        grey = np.asarray(opened(sheet(rows, ["truth", label])).convert("L"))
        assert (grey[:, :6] == 255).all(), label
        assert (grey < 100).any()


@pytest.mark.parametrize(
    ("text", "short"),
    [
        ("-0.0631661", "-0.06317"),
        ("0.61727999999999", "0.6173"),
        ("12345.678", "1.235e+04"),
        ("1.5", "1.5"),
        ("2.3456789e-05", "2.346e-05"),
        ("0.123456, -0.5, 7.00001", "0.1235, -0.5, 7"),
        ("seven", "seven"),
        ("0012", "0012"),
        ("v1.2345 of 3.11.1234", "v1.2345 of 3.11.1234"),
    ],
)
def test_long_numbers_are_cut_and_nothing_else(text: str, short: str) -> None:
    assert short_numbers(text) == short


def test_classes_are_told_apart() -> None:
    for n in range(1, 21):
        styles = class_styles(n)
        assert len(set(styles)) == n
        colours = [colour for colour, _ in styles]
        assert len(set(colours)) == min(n, 10)
        for pair in "<>", "v^", "sD", "XP", "<v", "<^", ">v", ">^", "X*":
            same = [{c for c, marker in styles if marker == m} for m in pair]
            assert not same[0] & same[1], f"{pair} in one colour, of {n} classes"


def test_the_same_values_give_the_same_file() -> None:
    rows = [["a", Image.new("L", (3, 3), 9)]]
    assert sheet(rows, ["row"]) == sheet(rows, ["row"])


def test_without_matplotlib_the_error_says_what_to_install(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(UsageError, match=r"pip install 'mmvae\[plot\]'"):
        require_matplotlib()

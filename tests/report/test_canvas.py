"""Sheets of pictures and text, and what is said without matplotlib."""

from __future__ import annotations

import io
import sys

import pytest
from PIL import Image

from mmvae.errors import UsageError
from mmvae.report.canvas import DPI, require_matplotlib, sheet


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


def test_the_same_values_give_the_same_file() -> None:
    rows = [["a", Image.new("L", (3, 3), 9)]]
    assert sheet(rows, ["row"]) == sheet(rows, ["row"])


def test_without_matplotlib_the_error_says_what_to_install(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(UsageError, match=r"pip install 'mmvae\[plot\]'"):
        require_matplotlib()

"""Names of items: in the order of their numbers, paired as they are written."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmvae.data.item_names import look_alikes, natural, refuse_near_misses, row_name, some
from mmvae.foundations.errors import DataError

FILES = {"0001.png": "0001", "a.b.png": "a.b", "a.png": "a", "x.JPG": "x", "7": "7"}
ITEMS = set(FILES.values())


def test_numbers_sort_as_numbers() -> None:
    assert sorted(["b2", "10", "b10", "2"], key=natural) == ["2", "10", "b2", "b10"]


@settings(deadline=None)
@given(st.lists(st.text(max_size=12), max_size=8))
def test_any_names_sort(names: list[str]) -> None:
    ordered = sorted([*names, "10²", "٣", "9" * 5000], key=natural)
    assert sorted(reversed(ordered), key=natural) == ordered


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("0001", "0001"),
        ("0001.png", "0001"),
        ("photo/0001.png", "0001"),
        ("a.b", "a.b"),  # what is a name is that name
        ("a.b.png", "a.b"),
        ("a.png", "a"),
        ("x.jpg", "x"),  # another ending of the same picture
        (7, "7"),
        (7.0, "7"),
        ("9.txt", "9"),
        ("v1.5", "v1.5"),
        ("1", "1"),  # not 0001
        ("e\N{COMBINING ACUTE ACCENT}", "é"),
    ],
)
def test_a_row_belongs_to_the_item_that_it_names(written: object, name: str) -> None:
    assert row_name(written, FILES, ITEMS) == name


@pytest.mark.parametrize(
    ("file", "row"),
    [("0001", "1"), ("IMG_7", "img_7"), ("a b", "ab"), ("3", "3.0"), ("A03", "a3")],
)
def test_names_that_are_nearly_one_are_refused(file: str, row: str) -> None:
    with pytest.raises(DataError, match="appear to be one item") as caught:
        refuse_near_misses({"pic": {file, "z"}, "t.csv": {row, "z"}})
    for side, name in (("pic", file), ("t.csv", row)):
        assert re.search(rf"{side} (has )?an item {name!r}", str(caught.value))


def test_names_that_one_side_tells_apart_are_two_items() -> None:
    sides = {"pic": {"1", "01", "10"}, "text": {"1", "100"}, "t.csv": {"01", "A1"}}
    refuse_near_misses(sides)
    with pytest.raises(DataError, match="appear to be one item"):
        refuse_near_misses({**sides, "pic": {"10"}})


def test_a_list_of_names_is_short() -> None:
    assert some(["10", "9"]) == "'9', '10'"
    assert some(range(8)) == "'0', '1', '2', '3', '4' and 3 more"


@pytest.mark.parametrize(
    "other", ["a ", " a", "\u200ba", "a\ufeff", "a\t", "a\N{NO-BREAK SPACE}", "a\N{SOFT HYPHEN}"]
)
def test_names_that_look_the_same_are_found(other: str) -> None:
    assert look_alikes(["b", "a", "A", other]) == [["a", other]]
    assert look_alikes(["b", "a", "A"]) == []


def test_composed_letters_look_like_their_parts() -> None:
    assert look_alikes(["\xe4", "a", "a\u0308"]) == [["\xe4", "a\u0308"]]

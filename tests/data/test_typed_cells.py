"""Numbers for named cells, as a user types them."""

from __future__ import annotations

import math

import numpy as np
import pytest

from mmvae.data.typed_cells import typed_cells

NAMES = ("height", "a=b")
NAN = math.nan


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("height=1.5", [1.5, NAN]),
        (" a=b = -2 , height=nan", [NAN, -2]),
        ("1e3, NaN", [1000, NAN]),
    ],
)
def test_names_some_or_lists_all(text: str, wanted: list[float]) -> None:
    np.testing.assert_array_equal(typed_cells(text, NAMES, NAN), wanted)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("h=5", [5, NAN, NAN]),
        (" h=5", [NAN, 5, NAN]),
        ("h =5", [NAN, NAN, 5]),
        ("  h  = 5", [5, NAN, NAN]),
        ("h=1, h =2,  h=3", [1, 3, 2]),
        ("h =1, h=2", [2, NAN, 1]),
    ],
)
def test_spaces_are_part_of_a_name_if_there_is_such_a_name(text: str, wanted: list[float]) -> None:
    np.testing.assert_array_equal(typed_cells(text, ("h", " h", "h "), NAN), wanted)


def test_a_name_with_a_space_may_be_typed_without_it() -> None:
    np.testing.assert_array_equal(typed_cells("h=1", (" h", "w"), NAN), [1, NAN])
    np.testing.assert_array_equal(typed_cells("w=2, h=1", (" h", "w"), NAN), [1, 2])


def test_the_others_have_the_given_number() -> None:
    assert typed_cells("a=b=2", NAMES, 0.0) == [0, 2]


@pytest.mark.parametrize(
    ("text", "others", "message"),
    [
        ("heigth=1", NAN, "'heigth' is no length; there are height, a=b. Did you mean 'height'"),
        ("height=1,2", NAN, "'2' is no length"),
        ("x" * 100 + "=1", NAN, "'" + "x" * 80 + "' is no length"),
        ("height=1,height=2", NAN, "names 'height' twice; expected each length once"),
        ("height=1,height=1", 0.0, "names 'height' twice"),
        ("height=", NAN, r"'height=': '' is not a finite number \(nor nan, for none\)\."),
        ("height=nan", 0.0, r"'height=nan': 'nan' is not a finite number\."),
        ("1,inf", NAN, "'inf' is not a finite number"),
        ("1", NAN, r"'1' has 1 numbers, expected 2, .* height=1 \(the others .* not observed\)"),
        ("", 0.0, r"'' has 0 numbers, expected 2, .* \(the others then are 0\)"),
    ],
)
def test_says_what_is_accepted(text: str, others: float, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        typed_cells(text, NAMES, others, "length")

"""A text says a value if its numbers are the value's, cut or rounded."""

from __future__ import annotations

import numpy as np
import pytest

from mmvae.testing.shown import names_in, says


@pytest.mark.parametrize(
    ("text", "value", "names", "wanted"),
    [
        ("1.23", 1.2345, (), True),
        ("-1.23", 1.2345, (), False),
        ("\u22121.23", -1.2345, (), True),
        ("1.3e+05", 128_900.0, (), True),
        ("1.3e+05", 158_900.0, (), False),
        ("height=1.8, weight=70kg", [1.8, 70.2], ("height", "weight"), True),
        ("height=70, weight=1.8", [1.8, 70.2], ("height", "weight"), False),
        ("0=1.5, 1=-2", [1.5, -2.0], ("0", "1"), True),
        ("x1=1.5, x2=-2", [1.5, -2.0], (), True),
        ("[ 1.5 -2. ]", [1.5, -2.0], (), True),
        ("1.5, \u2026", [1.5, -2.0], (), None),
        ("mean 3", [[1.0, 2.0], [3.0]], (), None),
        ("2", 2, (), True),
        ("2", 3, (), False),
        ("3", 2.0, (), False),
        ("1", 2.0, (), False),
        ("1", 1.9, (), True),
        ("-1", 0.3, (), False),
        ("True", np.bool_(True), (), True),
        ("cat (90 %)", "cat", (), True),
        ("10", "1", (), False),
        ("'a\\nb'", "a\nb", (), True),
        ("abc\u2026", "abcdef", (), True),
        ("abd\u2026", "abcdef", (), False),
        ("''", "", (), True),
        ("(none)", None, (), None),
    ],
)
def test_says(text, value, names, wanted):
    assert says(text, value, names) is wanted


def test_names_are_told_from_longer_ones():
    assert names_in("Male Hat, Young", ("Male", "Male Hat")) == {"Male Hat"}

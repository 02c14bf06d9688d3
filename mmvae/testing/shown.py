"""Agreement of the texts that ``show`` prints with the restored values."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any

import numpy as np

NUMBER = re.compile(r"(?<![\w.])[-+]?(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?(?!\w*_)", re.I)
"""A number in a text; digits of a word such as ``x1`` or ``1_x`` are none."""

CUT = ("\u2026", "...")
"""Ends of a text that is shown in part."""


def says(text: str, value: Any, names: Sequence[str]) -> bool | None:
    """True if a text says a restored value, within the digits that it prints.

    Args:
        text: A result of ``show``.
        value: The restored value.
        names: Names of cells or classes, whose digits are no numbers of the value.

    Returns:
        None if the text cannot be judged: it has not as many numbers as the value, or the value
        is neither of numbers nor a text or boolean.
    """
    if isinstance(value, (str, bool, np.bool_)):
        return _says_word(text, str(value))
    try:
        cells = np.ravel(np.asarray(value))
    except ValueError:  # rows of several lengths
        return None
    if cells.dtype.kind not in "iuf":
        return None
    printed = NUMBER.findall(_without_labels(text.replace("\u2212", "-"), names))
    if len(printed) != len(cells):
        return None
    return all(
        _rounds_to(number, float(cell)) for number, cell in zip(printed, cells, strict=True)
    )


def names_in(text: str, names: Iterable[str]) -> set[str]:
    """The names that a text has, each counted apart from longer ones that contain it."""
    found = set()
    for name in sorted(names, key=len, reverse=True):
        if name and name in text:
            found.add(name)
            text = text.replace(name, "\0")
    return found


def _without_labels(text: str, names: Sequence[str]) -> str:
    """A text with a blank in place of each ``name=`` and ``name:``."""
    longest_first = sorted(filter(None, names), key=len, reverse=True)
    if not longest_first:
        return text
    labels = "|".join(map(re.escape, longest_first))
    return re.sub(rf"(?<!\w)(?:{labels})\s*[=:]", " ", text)


def _says_word(text: str, word: str) -> bool:
    if text == word or repr(word) in text:
        return True
    if word and re.search(rf"(?<!\w){re.escape(word)}(?!\w)", text):
        return True
    return any(text.endswith(end) and word.startswith(text.removesuffix(end)) for end in CUT)


def _rounds_to(printed: str, cell: float) -> bool:
    """True if a printed number is this one, cut or rounded to its digits."""
    number = Decimal(printed)
    last, noise = 10.0 ** int(number.as_tuple().exponent), 1e-5 * abs(cell)
    off = abs(float(number) - cell) - noise
    return off <= 0.5 * last or (abs(float(number)) < abs(cell) and off < 0.99 * last)

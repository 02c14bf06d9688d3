"""Written cells: the kind of a text file's column, from all of its cells, and their values.

One rule serves every command. A kind is used only if each cell is the one way to write its value:
``7`` is an integer, while ``007`` and ``+7`` are texts, since as integers they could not be
distinguished from ``7``. So reading changes no label.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from mmvae.modalities.column_type import Kind

STYLES = (("False", "True"), ("FALSE", "TRUE"), ("false", "true"))
"""Pairs of words for booleans; a column uses one pair only."""

DIGITS = (("0", "1"), ("0.0", "1.0"))
"""Words for booleans of other programs, accepted if the column is known to be boolean."""

INTEGER = r"^(0|-?[1-9][0-9]*)$"
WHOLE = r"^-?(0|[1-9][0-9]*)\.0$"
NUMBER = r"^-?((0|[1-9][0-9]*)(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?$"
INFINITE = r"^-?([iI]nf|INF|[iI]nfinity)$"
PLAIN = re.compile(r"\s*[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?\s*", re.ASCII)
"""A number as people write it; with digits 0 to 9 only, without underscores."""

LARGEST = 2**63
SAFE_DIGITS = 18
"""Number of digits that every integer of 64 bits can have."""


@dataclass
class Evidence:
    """Properties of the cells of a column so far.

    Attributes:
        seen: True if there was any value.
        styles: Ways to write booleans that fit all cells, as indices in :data:`STYLES`.
        integer: True if all were integers of 64 bits.
        number: True if all were numbers.
        whole: True if all were written as ``1.0``.
        fraction: True if one had a fraction or was infinite.
        listed: True if all were JSON arrays of numbers.
        lists: The Arrow type of these.
    """

    seen: bool = False
    styles: set[int] = field(default_factory=lambda: set(range(len(STYLES))))
    integer: bool = True
    number: bool = True
    whole: bool = True
    fraction: bool = False
    listed: bool = True
    lists: Any = None

    def add(self, cells: Any) -> None:
        """Add some cells, an Arrow array of texts, null for missing values."""
        import pyarrow.compute as pc

        distinct = pc.unique(cells.drop_null())
        if not len(distinct):
            return
        self.seen = True
        texts = distinct.to_pylist() if self.styles and len(distinct) < 3 else []
        self.styles = {k for k in self.styles if texts and set(texts) <= set(STYLES[k])}
        self.integer = self.integer and every(distinct, INTEGER) and fits(distinct)
        if self.number:
            finite = distinct.filter(pc.invert(pc.match_substring_regex(distinct, INFINITE)))
            values = finite.cast("float64") if every(finite, NUMBER) else None
            self.number = values is not None and holds(pc.is_finite(values))
            self.whole = self.whole and every(distinct, WHOLE)
        if self.number and not self.fraction:
            whole = holds(pc.equal(values, pc.floor(values)))
            self.fraction = len(finite) < len(distinct) or not whole
        if self.listed:
            arrays = parsed(distinct.to_pylist()) if every(distinct, r"^\[") else None
            self.lists = None if arrays is None else unified(arrays, self.lists)
            self.listed = self.lists is not None

    @property
    def kind(self) -> Kind:
        """The kind of the column."""
        if not self.seen:
            return "null"
        if self.styles:
            return "boolean"
        if self.integer:
            return "integer"
        if self.number and (self.fraction or self.whole):
            return "number"
        return "list" if self.listed else "text"


def every(texts: Any, pattern: str) -> bool:
    """True if all of some texts match a pattern."""
    import pyarrow.compute as pc

    return holds(pc.match_substring_regex(texts, pattern))


def holds(truths: Any) -> bool:
    """True if all of some truth values are true, or there are none."""
    import pyarrow.compute as pc

    return bool(pc.all(truths, min_count=0).as_py())


def fits(integers: Any) -> bool:
    """True if all of some integers fit into 64 bits."""
    import pyarrow.compute as pc

    digits = pc.utf8_length(integers)
    if not holds(pc.less_equal(digits, SAFE_DIGITS + 2)):  # a sign and a digit more, or too large
        return False
    long = integers.filter(pc.greater(digits, SAFE_DIGITS))
    return all(-LARGEST <= int(text) < LARGEST for text in long.to_pylist())


def parsed(texts: Sequence[str]) -> list[Any] | None:
    """Parse JSON arrays of numbers, of any depth; None if one of the texts is not one."""
    try:
        arrays = [json.loads(text) for text in texts]
    except (ValueError, RecursionError):
        return None
    return arrays if all(isinstance(a, list) and of_numbers(a) for a in arrays) else None


def unified(values: Sequence[Any], before: Any) -> Any:
    """The common Arrow type of values and of a type ``before``; None if there is none."""
    import pyarrow as pa

    try:
        kinds = [pa.array(values).type] + [before] * (before is not None)
        fields = [pa.schema([("x", kind)]) for kind in kinds]
        return pa.unify_schemas(fields, promote_options="permissive").field(0).type
    except (pa.ArrowException, OverflowError, UnicodeError, TypeError):
        return None


def of_numbers(cells: Sequence[Any]) -> bool:
    """True if lists, of any depth, hold only numbers and null."""
    return all(
        of_numbers(cell) if isinstance(cell, list) else cell is None or is_number(cell)
        for cell in cells
    )


def is_number(value: Any) -> bool:
    """True if a value of JSON is a number."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def merged(kinds: Sequence[Kind]) -> Kind:
    """The common kind of a column in several files."""
    found = set(kinds) - {"null"}
    if len(found) == 1:
        return found.pop()
    if not found:
        return "null"
    return "number" if found == {"integer", "number"} else "text"


def converted(value: Any, kind: Kind) -> Any:
    """Convert a value to another kind that represents the same value.

    Args:
        value: A text, boolean or number.
        kind: ``text``, ``integer``, ``number`` or ``boolean``; for others the value is unchanged.

    Raises:
        ValueError: The kind cannot represent it.
    """
    if kind in ("text", "date", "timestamp"):
        return as_text(value)
    if kind in ("integer", "number"):
        return as_number(value)
    return as_boolean(value) if kind == "boolean" else value


def as_text(value: Any) -> Any:
    """Convert a boolean or number to the text that is read as the same value."""
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))  # integers in a column with missing values are floats
    return str(value) if isinstance(value, (bool, int, float)) else value


def as_number(value: Any) -> Any:
    """Convert a text or boolean to a number, an integer if it is written so.

    Raises:
        ValueError: The text is not a number.
    """
    if isinstance(value, bool):
        return int(value)
    if not isinstance(value, str):
        return value
    if PLAIN.fullmatch(value):
        try:
            return int(value)
        except ValueError:
            return float(value)
    if re.fullmatch(INFINITE, value):
        return float(value)
    raise ValueError("a number")


def written_number(text: str) -> float:
    """A number that a person writes, by the rule for cells of tables: of digits 0 to 9 alone.

    Args:
        text: Such as ``12``, ``-0.5``, ``1e3`` or ``inf``; blanks around it do not count.

    Raises:
        ValueError: It writes no number; ``1_0`` and digits of other scripts are none.
    """
    number = as_number(text.strip())
    assert isinstance(number, (int, float))
    try:
        return float(number)
    except OverflowError:
        raise ValueError("a finite number") from None


def as_boolean(value: Any) -> Any:
    """Convert a text, or 0 or 1, to a boolean.

    Raises:
        ValueError: It is none of them.
    """
    found = {word: bool(k) for style in (*STYLES, *DIGITS) for k, word in enumerate(style)}
    if isinstance(value, str) and value in found:
        return found[value]
    if not isinstance(value, str) and value in (0, 1):
        return bool(value)
    raise ValueError("true or false")


def is_missing(value: Any) -> bool:
    """True if a value represents a missing one."""
    return value is None or (isinstance(value, float) and math.isnan(value))

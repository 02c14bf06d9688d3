"""The type of a column: the kind of its values, and the words for a missing value."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

Kind = Literal[
    "text",
    "integer",
    "number",
    "boolean",
    "code",
    "date",
    "timestamp",
    "list",
    "picture",
    "null",
    "other",
]
"""The kinds of values of a column.

``code``: integers that are the codes of named classes; ``list``: lists of numbers, of any depth;
``date`` and ``timestamp``: ISO 8601 texts; ``picture``: encoded files; ``null``: missing values
only; ``other``: values without a text form, such as structures.
"""

NULL_WORDS = frozenset(("#N/A", "<NA>", "N/A", "NA", "NULL", "NaN", "None", "n/a", "nan", "null"))
"""Words for a missing value in a text file, unless they are quoted."""


@dataclass(frozen=True)
class ColumnType:
    """The type as which the cells of a column are read.

    Attributes:
        kind: The kind of its values.
        words: Those of :data:`NULL_WORDS` that are values of a column of texts, quoted or not;
            None if the column was not searched for them.
    """

    kind: Kind
    words: frozenset[str] | None = None

    def state(self) -> list[Any]:
        """The type as plain values."""
        return [self.kind, None if self.words is None else sorted(self.words)]

    @classmethod
    def of_state(cls, state: Sequence[Any]) -> ColumnType:
        """The type from the result of :meth:`state`.

        Raises:
            ValueError: It is not a state of a type.
        """
        kind, words = state
        if kind not in get_args(Kind):
            raise ValueError(f"{kind!r} is no kind of column")
        return cls(kind, None if words is None else frozenset(words))

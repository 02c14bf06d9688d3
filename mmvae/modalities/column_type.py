"""The type of a column: what kind of values it holds, and what may stand in the place of none."""

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
"""What the values of a column are.

``code``: integers that are the codes of named classes; ``list``: lists of numbers, of any depth;
``date`` and ``timestamp``: ISO 8601 texts; ``picture``: encoded files; ``null``: nothing but gaps;
``other``: what has no text form of its own, such as structures.
"""

NULL_WORDS = frozenset(("#N/A", "<NA>", "N/A", "NA", "NULL", "NaN", "None", "n/a", "nan", "null"))
"""Words that stand for no value in a text file, unless they are quoted."""


@dataclass(frozen=True)
class ColumnType:
    """How the cells of a column are read.

    Attributes:
        kind: What its values are.
        words: Those of :data:`NULL_WORDS` that are values of a column of texts, quoted or not;
            None where nobody looked for them.
    """

    kind: Kind
    words: frozenset[str] | None = None

    def state(self) -> list[Any]:
        """The type as plain values."""
        return [self.kind, None if self.words is None else sorted(self.words)]

    @classmethod
    def of_state(cls, state: Sequence[Any]) -> ColumnType:
        """The type that :meth:`state` gave.

        Raises:
            ValueError: It is none.
        """
        kind, words = state
        if kind not in get_args(Kind):
            raise ValueError(f"{kind!r} is no kind of column")
        return cls(kind, None if words is None else frozenset(words))

"""Declared types: the key ``[data.types]`` of sources that read tables."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from pydantic import Field

from mmvae.data.splits import CutConfig
from mmvae.foundations.errors import DataError, nearest
from mmvae.modalities.column_type import NULL_WORDS, ColumnType


class TypedConfig(CutConfig):
    """``[data]`` of a source that reads tables."""

    types: dict[str, Literal["text", "integer", "number", "boolean"]] | None = Field(
        None,
        description="Column → its type, where its cells do not tell it: zip = 'text' keeps 02134 "
        "and 2134 apart where all others look like numbers, and cells such as None or NA are then "
        "texts, and only empty ones are missing. Of other columns all rows tell.",
    )

    def column_types(self) -> dict[str, ColumnType]:
        """Column → its type as it is declared."""
        return {
            name: ColumnType(kind, NULL_WORDS if kind == "text" else None)
            for name, kind in (self.types or {}).items()
        }

    def refuse_unknown(self, there: Iterable[str]) -> None:
        """Check that the columns with declared types exist.

        Raises:
            DataError: A column does not exist.
        """
        columns = list(there)
        for name in self.types or {}:
            if name not in columns:
                raise DataError(
                    f"data.types: there is no column {name!r}, but {', '.join(columns)}."
                    f"{nearest(name, columns)}"
                )

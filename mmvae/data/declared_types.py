"""Declarations of ``[data]`` about files: the types of columns, and how much files may hold."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal

from pydantic import Field, ValidationError

from mmvae.data.size_bounds import GIB, MIB, Bounds
from mmvae.data.splits import CutConfig
from mmvae.foundations.errors import ConfigError, DataError, nearest
from mmvae.modalities.column_type import NULL_WORDS, ColumnType


class TypedConfig(CutConfig):
    """``[data]`` of a source that reads tables."""

    types: dict[str, Literal["text", "integer", "number", "boolean"]] | None = Field(
        None,
        description="Column → its type, for columns whose cells do not determine it. With zip = "
        "'text', 02134 and 2134 stay different, cells such as None or NA are texts, and only "
        "empty cells are missing. The types of other columns are inferred from all rows.",
    )

    max_cell_mib: float = Field(
        16.0,
        gt=0,
        le=1024,
        description="Maximum size in MiB of a cell of a table or a record of a text file. In a "
        "text file each character counts as one byte. Reading may need up to 64 times this much "
        "memory.",
    )
    max_file_gib: float = Field(
        64.0, gt=0, allow_inf_nan=False, description="Maximum size in GiB of one file."
    )

    max_columns: int = Field(10_000, ge=1, description="Maximum number of columns of a table.")
    max_rows: int = Field(10_000_000, ge=1, description="Maximum number of rows of a table.")

    def bounds(self) -> Bounds:
        """How much files may hold."""
        cell, file = round(self.max_cell_mib * MIB), round(self.max_file_gib * GIB)
        return Bounds(cell, file, self.max_columns, self.max_rows)

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
                    f"data.types: there is no column {name!r}; the columns are "
                    f"{', '.join(columns)}."
                    f"{nearest(name, columns)}"
                )


def bounds_of(data: Mapping[str, Any], where: str) -> Bounds:
    """How much files may hold that are read by the model of a run.

    Args:
        data: The ``[data]`` section of the run; its keys for files of single items do not count.
        where: The file of the section, for messages.

    Raises:
        ConfigError: A key is none that a config could have.
    """
    names = ("max_cell_mib", "max_file_gib", "max_columns", "max_rows")
    keys = {key: data[key] for key in names if key in data}
    try:
        own = TypedConfig.model_validate(keys, strict=True).bounds()
    except ValidationError as error:
        (key, *_), said = error.errors()[0]["loc"], error.errors()[0]["msg"]
        raise ConfigError(f"{where}: data.{key} = {data[str(key)]!r}: {said}.") from None
    return Bounds(own.cell, max(own.file, Bounds.file), own.columns, own.rows)

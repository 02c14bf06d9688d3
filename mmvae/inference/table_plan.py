"""Plans of imputed tables: their columns, and the new values and marks of their rows."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from mmvae.data.file_formats import Rows, TableStream
from mmvae.data.fillable import marks_of
from mmvae.data.in_memory import as_column
from mmvae.data.source import Split
from mmvae.foundations.errors import DataError
from mmvae.inference.filled_pictures import FilledPictures
from mmvae.inference.imputation import Imputation
from mmvae.inference.trained_model import TrainedModel
from mmvae.modalities.column import Column
from mmvae.modalities.column_type import Kind

Type = Any
"""An Arrow type."""

INTEGER = re.compile(r"0|-?[1-9][0-9]*", re.ASCII)


class Plan:
    """The mapping between the columns of a table and the modalities of a model.

    Args:
        trained: The model.
        stream: The table.
        out: The path of the imputed table.

    Raises:
        UsageError: Images are to be written into a folder that already exists.
        DataError: No column is a modality, two modalities read one column, or a column has the
            name of a new one.
    """

    def __init__(self, trained: TrainedModel, stream: TableStream, out: Path) -> None:
        import pyarrow as pa

        self.trained, self.stream = trained, stream
        blank = Split({name: Column([]) for name in stream.names}, [])
        self.columns = trained.names(blank, None)
        self.filled: dict[str, Type] = {}
        self.added: dict[str, Type] = {}
        self.cellwise: set[str] = set()
        for m, column in self.columns.items():
            if column in self.filled:
                both = " and ".join(repr(k) for k, c in self.columns.items() if c == column)
                raise DataError(
                    f"{stream.path}, column {column!r}: the modalities {both} of the model read "
                    f"it, and would fill its cells with different values; expected one modality "
                    f"for each column. Train a model with one of them."
                )
            self.filled[column] = self.type_of(m)
            lists = self.column_kind(m) == "list" or (
                self.column_kind(m) == "null" and pa.types.is_list(self.filled[column])
            )
            if lists and len(trained.codecs[m].event_shape) == 1:
                self.cellwise.add(m)
            name = marks_of(column)
            if name in stream.names:
                raise DataError(
                    f"{stream.path}: there is a column {name!r} already; this name is needed for "
                    f"the marks of filled values. Rename or drop it."
                )
            self.added[name] = pa.list_(pa.bool_()) if m in self.cellwise else pa.bool_()
        self.pictures = FilledPictures(out, any(map(self.in_files, self.columns)))

    def column_kind(self, modality: str) -> Kind:
        """The kind of values that the modality's column holds in the file."""
        return self.stream.kind(self.columns[modality])

    def shown(self, modality: str) -> bool:
        """True if a modality's values are images, which the column holds encoded or as paths."""
        codec = self.trained.codecs[modality]
        text = isinstance(codec.show(codec.missing(1))[0], str)
        return not text and self.column_kind(modality) in ("picture", "text", "null")

    def in_files(self, modality: str) -> bool:
        """True if imputed images are written to files, and their paths into the column."""
        empty = self.column_kind(modality) == "null" and not self.stream.holds_bytes
        return self.shown(modality) and (empty or self.column_kind(modality) == "text")

    def type_of(self, modality: str) -> Type:
        """The Arrow type of the imputed values of a modality."""
        import pyarrow as pa

        if self.shown(modality):
            return pa.string() if self.in_files(modality) else pa.binary()
        codec = self.trained.codecs[modality]
        values = codec.restore(codec.missing(1)).values
        if not isinstance(values, np.ndarray):
            return pa.string()
        known = {"f": pa.float64(), "i": pa.int64(), "u": pa.int64(), "b": pa.bool_()}
        kind = known.get(values.dtype.kind, pa.string())
        for _ in range(values.ndim - 1):
            kind = pa.list_(kind)
        return kind

    def items(self, rows: Rows, first: int) -> Split:
        """Convert rows to items."""
        columns = {
            column: as_column(
                rows.values(column),
                f"{self.stream.path}, column {column!r}",
                self.stream.labels(column),
            )
            for column in self.columns.values()
        }
        return Split(columns, np.arange(first, first + len(rows)))

    def values(
        self, modality: str, rows: Rows, first: int, filled: Imputation, folder: Path | None
    ) -> dict[int, Any]:
        """Row → its new value; cells that were observed stay as they were."""
        column, found = self.columns[modality], {}
        old = rows.values(column) if modality in self.cellwise else []
        for k, row in enumerate(filled.rows.tolist()):
            if self.shown(modality):
                name = f"{column}-{first + row}.png"
                found[row] = self.pictures.put(filled.shown[k], name, folder)
                continue
            new = self.written(modality, filled, k)
            if old and old[row] is not None:
                cells = zip(new, old[row], filled.cells[k].tolist(), strict=True)
                new = [prediction if gone else known for prediction, known, gone in cells]
            found[row] = new
        return found

    def marks(self, n: int, found: Mapping[str, Imputation]) -> dict[str, list[Any]]:
        """New column → marks of n rows: which values were imputed, or which cells of them."""
        return {marks_of(column): self._marks(m, n, found) for m, column in self.columns.items()}

    def _marks(self, modality: str, n: int, found: Mapping[str, Imputation]) -> list[Any]:
        shape = self.trained.codecs[modality].event_shape if modality in self.cellwise else ()
        marks = np.zeros((n, *shape), bool)
        if modality in found:
            filled = found[modality]
            marks[filled.rows] = filled.cells if shape else True
        return list(marks.tolist())

    def written(self, modality: str, filled: Imputation, k: int) -> Any:
        """The k-th imputed value as plain Python; a code if the column holds codes."""
        value = filled.values.values[k]
        value = value.tolist() if hasattr(value, "tolist") else value
        read_as = self.stream.types[self.columns[modality]].kind
        if isinstance(value, str) and read_as in ("integer", "number", "code"):
            return self.code(modality, value, filled.values.names)
        return value

    def code(self, modality: str, name: str, names: tuple[str, ...] | None) -> Any:
        """The code of a class in a column of codes; its name if names are numbers.

        Raises:
            DataError: The column's classes do not include it.
        """
        column = self.columns[modality]
        labels = self.stream.labels(column)
        if labels is not None and name not in labels:
            raise DataError(
                f"{self.stream.path}, column {column!r}: the model fills in {name!r}, which is "
                f"none of the column's classes {', '.join(labels)}. Give the column all classes."
            )
        known = labels or names or self.trained.codecs[modality].classes or ()
        numerals = labels is None and any(INTEGER.fullmatch(one) for one in known)
        return name if numerals or name not in known else known.index(name)

"""Imputation of tables: every missing value filled, and columns that mark the imputed ones."""

from __future__ import annotations

import io
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from mmvae.data.bounds import Bounds
from mmvae.data.fillable import marks_of
from mmvae.data.in_memory import as_column
from mmvae.data.missing import presence
from mmvae.data.source import Split
from mmvae.data.streams import Rows, TableStream, open_stream
from mmvae.foundations import staging, storage
from mmvae.foundations.errors import DataError, UsageError
from mmvae.foundations.operations import reported
from mmvae.foundations.progress import NOBODY, Progress
from mmvae.foundations.surroundings import undisturbed
from mmvae.inference.imputation import By, Imputation, check_model, imputations
from mmvae.inference.sampling import CHUNK
from mmvae.inference.trained_model import TrainedModel
from mmvae.modalities.column import Column
from mmvae.modalities.column_type import Kind

Type = Any
"""An Arrow type."""

UNFINISHED = ".mmvae-unfinished"
"""Name of the file in a folder of pictures that names its table until the table is written."""


INTEGER = re.compile(r"0|-?[1-9][0-9]*", re.ASCII)


@dataclass
class Filled:
    """The summary of an imputed table.

    Attributes:
        rows: Number of rows.
        values: Modality → number of rows that lacked all of it.
        partly: Modality → number of rows that lacked some of its cells.
        nothing: Number of rows without any modality, imputed from the prior.
        without: Modalities without a column in the table.
        retyped: Column whose type was changed for the filled values → its types before and after.
    """

    rows: int
    values: dict[str, int]
    partly: dict[str, int]
    nothing: int = 0
    without: tuple[str, ...] = ()
    retyped: Mapping[str, tuple[str, str]] = field(default_factory=dict)


@undisturbed()
def impute_table(
    trained: TrainedModel,
    path: Path,
    out: Path,
    by: By = "mode",
    seed: int = 0,
    progress: Progress | None = None,
    bounds: Bounds | None = None,
) -> Filled:
    """Write a copy of a table with every missing value imputed and marked.

    Rows keep their order, and columns that are no modalities are unchanged. Each modality with a
    column gets a new one, ``COLUMN_filled``: True if a row's value was imputed or, where a value
    is a list, the mask of its imputed cells. A row's result depends on its number and on ``seed``.

    Args:
        trained: The model.
        path: Parquet, Arrow, CSV, TSV or JSON lines, read in chunks.
        out: A file that does not exist, of the same ending.
        by: See :func:`imputations`.
        seed: Governs samples.
        progress: Shows how far the work is; default: nowhere.
        bounds: How much the table and its cells may hold.

    Raises:
        UsageError: The model cannot impute, ``out`` exists or has another ending, or the kind of
            table cannot hold the new values.
        DataError: The table cannot be read, has no column of a modality or has the name of a new
            one, or a codec refuses a value.
        TrainingError: The system refused to write.
    """
    shown = progress or NOBODY
    check_model(trained)
    check_out(path, out)
    stream = open_stream(path, trained.types, bounds)
    plan = Plan(trained, stream, out)
    done = Filled(0, dict.fromkeys(plan.columns, 0), dict.fromkeys(plan.columns, 0))
    done.without = tuple(m for m in trained.modalities if m not in plan.columns)
    with (
        staging.staged_file(out) as hidden,
        plan.pictures() as pictures,
        stream.writer(hidden, plan.filled, plan.added) as writer,
    ):
        done.retyped = writer.retyped
        for rows in stream.chunks(CHUNK):
            shown.part("filling", done.rows, stream.total)
            items = plan.items(rows, done.rows)
            found = imputations(trained, items, by, seed, done.rows, tuple(plan.columns))
            values = {
                plan.columns[m]: plan.values(m, rows, done.rows, filled, pictures)
                for m, filled in found.items()
            }
            writer.write(rows, values, plan.marks(len(rows), found))
            done.rows += len(rows)
            for m, filled in found.items():
                whole = filled.cells.reshape(len(filled.rows), -1).all(1)
                done.values[m] += int(whole.sum())
                done.partly[m] += int((~whole).sum())
            done.nothing += int((~presence(items, plan.columns).any(1)).sum())
        shown.part("filling", done.rows, stream.total)
    plan.finish()
    return done


def check_out(path: Path, out: Path) -> None:
    """Refuse an output path that the table cannot be written to, before the work is done.

    Raises:
        UsageError: It exists, its folder does not, or it has another ending.
    """
    if out.suffix.lower() != path.suffix.lower():
        raise UsageError(
            f"--out {out}: the filled table is of the same kind as {path}; expected the ending "
            f"{path.suffix}."
        )
    if out.exists():
        raise UsageError(f"--out {out} exists already. Remove it, or choose another name.")
    if not out.parent.is_dir():
        raise UsageError(f"--out {out}: there is no folder {out.parent}; make it first.")


class Plan:
    """The mapping between the columns of a table and the modalities of a model.

    Args:
        trained: The model.
        stream: The table.
        out: The path of the imputed table.

    Raises:
        UsageError: Images are to be written into a folder that already exists.
        DataError: No column is a modality, or a column has the name of a new one.
    """

    def __init__(self, trained: TrainedModel, stream: TableStream, out: Path) -> None:
        import pyarrow as pa

        self.trained, self.stream, self.out = trained, stream, out
        blank = Split({name: Column([]) for name in stream.names}, [])
        self.columns = trained.names(blank, None)
        self.folder = out.with_name(f"{out.stem}_pictures")
        self.filled: dict[str, Type] = {}
        self.added: dict[str, Type] = {}
        self.cellwise: set[str] = set()
        for m, column in self.columns.items():
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
        self.pictured = any(map(self.in_files, self.columns))
        if self.pictured and self.folder.exists() and not self.unfinished():
            raise UsageError(
                f"--out {out}: the pictures that are filled go to the folder {self.folder}, which "
                f"exists already. Remove it, or choose another name."
            )

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

    @contextmanager
    def pictures(self) -> Iterator[Path | None]:
        """The folder for pictures while it is written, None if none is needed."""
        if not self.pictured:
            yield None
            return
        with staging.staged_folder(self.folder, replace=self.folder.exists()) as staged:
            storage.put(staged / UNFINISHED, os.fsencode(self.out.name))
            yield staged

    def unfinished(self) -> bool:
        """True if a killed imputation of this table left the folder for pictures."""
        try:
            return storage.read(self.folder / UNFINISHED) == os.fsencode(self.out.name)
        except OSError:  # there is no such file
            return False

    def finish(self) -> None:
        """Note that the table is in its place."""
        if self.pictured:
            with reported(self.folder):
                (self.folder / UNFINISHED).unlink()

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
        self, modality: str, rows: Rows, first: int, filled: Imputation, pictures: Path | None
    ) -> dict[int, Any]:
        """Row → its new value; cells that were observed stay as they were."""
        column, found = self.columns[modality], {}
        old = rows.values(column) if modality in self.cellwise else []
        for k, row in enumerate(filled.rows.tolist()):
            if self.shown(modality):
                name = f"{column}-{first + row}.png"
                found[row] = self.picture(png(filled.shown[k]), name, pictures)
                continue
            new = self.written(modality, filled, k)
            if old and old[row] is not None:
                cells = zip(new, old[row], filled.cells[k].tolist(), strict=True)
                new = [prediction if gone else known for prediction, known, gone in cells]
            found[row] = new
        return found

    def picture(self, encoded: bytes, name: str, folder: Path | None) -> bytes | str:
        """Convert an image to what its column holds: its content, or the path of its file."""
        if folder is None:
            return encoded
        name = re.sub(r"[^\w.-]", "_", name)
        storage.put(folder / name, encoded)
        return str(self.folder / name)

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


def png(picture: Any) -> bytes:
    """Encode an image as PNG."""
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()

"""Imputation of tables: every gap filled, row by row, and a column that says what was."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mmvae import storage
from mmvae.codec import Column
from mmvae.data.gaps import presence
from mmvae.data.memory import as_column
from mmvae.data.streams import Kind, Rows, TableStream, open_stream
from mmvae.errors import DataError, UsageError
from mmvae.evaluation.steps import Step, quiet
from mmvae.filling import By, Filling, check_model, fillings
from mmvae.source import Split
from mmvae.trained import CHUNK, TrainedModel

WIDER: frozenset[tuple[Kind, Kind]] = frozenset({("integer", "float"), ("integers", "floats")})
"""Kinds that a column has and a model fills in; means of whole numbers need not be whole."""


@dataclass
class Filled:
    """What was done to a table.

    Attributes:
        rows: How many rows it has.
        values: Modality → rows that lacked all of it.
        partly: Modality → rows that lacked some of its cells.
        nothing: Rows that had nothing, and were filled from the prior.
        without: Modalities that the table has no column for.
    """

    rows: int
    values: dict[str, int]
    partly: dict[str, int]
    nothing: int = 0
    without: tuple[str, ...] = ()


def impute_table(
    trained: TrainedModel,
    path: Path,
    out: Path,
    by: By = "mode",
    seed: int = 0,
    step: Step = quiet,
) -> Filled:
    """Write a table again with every gap filled, and which values were.

    Rows keep their order, and columns that are no modalities are as they were. For each modality
    that has a column there is a new one, ``COLUMN_filled``: whether a row's value was filled, or,
    where a value is a list, which of its cells were. What a row gets depends on its number and on
    ``seed``.

    Args:
        trained: The model.
        path: Parquet, Arrow, CSV, TSV or JSON lines, read in chunks.
        out: A file that does not exist, of the same ending.
        by: See :func:`fillings`.
        seed: Governs samples.
        step: Told of progress.

    Raises:
        UsageError: The model cannot fill, ``out`` exists or has another ending, or the kind of
            table cannot hold what the model would add.
        DataError: The table cannot be read, has no column of a modality or the name of a new
            one, or a value is none that its codec accepts.
        TrainingError: The system refused to write.
    """
    check_model(trained)
    check_out(path, out)
    stream = open_stream(path)
    plan = Plan(trained, stream)
    done = Filled(0, dict.fromkeys(plan.columns, 0), dict.fromkeys(plan.columns, 0))
    done.without = tuple(m for m in trained.modalities if m not in plan.columns)
    with (
        storage.staged_file(out) as hidden,
        stream.writer(hidden, plan.changed, plan.added) as writer,
    ):
        for rows in stream.chunks(CHUNK):
            step("filling", done.rows, stream.total)
            items = plan.items(rows, done.rows)
            found = fillings(trained, items, by, seed, done.rows, tuple(plan.columns))
            writer.write(rows, plan.replaced(rows, found))
            done.rows += len(rows)
            for m, filled in found.items():
                whole = filled.cells.reshape(len(filled.rows), -1).all(1)
                done.values[m] += int(whole.sum())
                done.partly[m] += int((~whole).sum())
            done.nothing += int((~presence(items, plan.columns).any(1)).sum())
        step("filling", done.rows, stream.total)
    return done


def check_out(path: Path, out: Path) -> None:
    """Refuse a place where the table cannot go, before the work is done.

    Raises:
        UsageError: It exists, its folder does not, or it has another ending.
    """
    if out.suffix != path.suffix:
        raise UsageError(
            f"--out {out}: the filled table is of the same kind as {path}; expected the ending "
            f"{path.suffix}."
        )
    if out.exists():
        raise UsageError(f"--out {out} exists already. Remove it, or choose another name.")
    if not out.parent.is_dir():
        raise UsageError(f"--out {out}: there is no folder {out.parent}; make it first.")


class Plan:
    """How the columns of a table and the modalities of a model belong together.

    Args:
        trained: The model.
        stream: The table.

    Raises:
        DataError: None of the columns is a modality, or one has the name of a new column.
    """

    def __init__(self, trained: TrainedModel, stream: TableStream) -> None:
        self.trained, self.stream = trained, stream
        blank = Split({name: Column([]) for name in stream.names}, [])
        self.columns = trained.names(blank, None)
        self.changed: dict[str, Kind] = {}
        self.added: dict[str, Kind] = {}
        self.cellwise: set[str] = set()
        for m, column in self.columns.items():
            held, kind = stream.kind(column), restored(trained, m)
            if held == "null" or (held, kind) in WIDER:
                self.changed[column] = held = kind
            if held in ("integers", "floats") and len(trained.codecs[m].event_shape) == 1:
                self.cellwise.add(m)
            name = f"{column}_filled"
            if name in stream.names:
                raise DataError(
                    f"{stream.path}: there is a column {name!r} already, in which is to stand "
                    f"what was filled. Rename or drop it."
                )
            self.added[name] = "bools" if m in self.cellwise else "bool"

    def items(self, rows: Rows, first: int) -> Split:
        """Rows as items."""
        columns = {
            column: as_column(rows.values(column), f"{self.stream.path}, column {column!r}")
            for column in self.columns.values()
        }
        return Split(columns, np.arange(first, first + len(rows)))

    def replaced(self, rows: Rows, found: Mapping[str, Filling]) -> dict[str, list[Any]]:
        """Columns with what is filled, and those that say what was."""
        columns: dict[str, list[Any]] = {}
        for m, column in self.columns.items():
            filled = found.get(m)
            if filled is not None or column in self.changed:
                old = rows.values(column)
                columns[column] = old if filled is None else self.merged(m, old, filled)
            columns[f"{column}_filled"] = self.marks(m, len(rows), filled)
        return columns

    def merged(self, modality: str, values: list[Any], filled: Filling) -> list[Any]:
        """Old values with filled ones in their places; cells that were there stay as they were."""
        for k, row in enumerate(filled.rows.tolist()):
            new = self.written(modality, filled, k)
            if modality in self.cellwise and values[row] is not None:
                cells = zip(new, values[row], filled.cells[k].tolist(), strict=True)
                new = [guess if gone else old for guess, old, gone in cells]
            values[row] = new
        return values

    def marks(self, modality: str, n: int, filled: Filling | None) -> list[Any]:
        """Which values of n rows were filled, or which cells of them."""
        if modality not in self.cellwise:
            there = () if filled is None else set(filled.rows.tolist())
            return [row in there for row in range(n)]
        marks = np.zeros((n, *self.trained.codecs[modality].event_shape), bool)
        if filled is not None:
            marks[filled.rows] = filled.cells
        return list(marks.tolist())

    def written(self, modality: str, filled: Filling, k: int) -> Any:
        """The k-th filled value in the form that its column has."""
        column, value = self.columns[modality], filled.values.values[k]
        kind = self.changed.get(column, self.stream.kind(column))
        if kind == "picture":
            return self.stream.picture(column, png(filled.shown[k]))
        names = filled.values.names or self.trained.codecs[modality].classes
        if isinstance(value, str) and kind in ("integer", "float") and names:
            return names.index(value)  # the column holds codes of classes
        if kind == "text":
            return str(value)
        return value.tolist() if hasattr(value, "tolist") else value


def restored(trained: TrainedModel, modality: str) -> Kind:
    """What a modality's values are in the user's units."""
    codec = trained.codecs[modality]
    blank = codec.missing(1)
    values = codec.restore(blank).values
    if not isinstance(values, np.ndarray):
        return "text"
    if values.ndim > 2 or not isinstance(codec.show(blank)[0], str):
        return "picture"
    if values.ndim == 2:
        return "integers" if values.dtype.kind in "iu" else "floats"
    kinds: dict[str, Kind] = {"f": "float", "i": "integer", "u": "integer"}
    return kinds.get(values.dtype.kind, "text")


def png(picture: Any) -> bytes:
    """A picture as the content of a PNG file."""
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()

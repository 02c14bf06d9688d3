"""Imputation of tables: every gap filled, row by row, and a column that says what was."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mmvae import storage
from mmvae.codec import Column
from mmvae.column_type import Kind
from mmvae.data.gaps import presence
from mmvae.data.memory import as_column
from mmvae.data.streams import Rows, TableStream, open_stream
from mmvae.errors import DataError, UsageError
from mmvae.evaluation.steps import Step, quiet
from mmvae.filling import By, Filling, check_model, fillings
from mmvae.source import Split
from mmvae.trained import CHUNK, TrainedModel

Type = Any
"""An Arrow type."""

INTEGER = re.compile(r"0|-?[1-9][0-9]*", re.ASCII)


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
    stream = open_stream(path, trained.types)
    plan = Plan(trained, stream, out)
    done = Filled(0, dict.fromkeys(plan.columns, 0), dict.fromkeys(plan.columns, 0))
    done.without = tuple(m for m in trained.modalities if m not in plan.columns)
    with (
        storage.staged_file(out) as hidden,
        plan.pictures() as pictures,
        stream.writer(hidden, plan.filled, plan.added) as writer,
    ):
        for rows in stream.chunks(CHUNK):
            step("filling", done.rows, stream.total)
            items = plan.items(rows, done.rows)
            found = fillings(trained, items, by, seed, done.rows, tuple(plan.columns))
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
        step("filling", done.rows, stream.total)
    return done


def check_out(path: Path, out: Path) -> None:
    """Refuse a place where the table cannot go, before the work is done.

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
    """How the columns of a table and the modalities of a model belong together.

    Args:
        trained: The model.
        stream: The table.
        out: Where the filled table goes.

    Raises:
        UsageError: Pictures are to be written into a folder that exists already.
        DataError: None of the columns is a modality, or one has the name of a new column.
    """

    def __init__(self, trained: TrainedModel, stream: TableStream, out: Path) -> None:
        import pyarrow as pa

        self.trained, self.stream = trained, stream
        blank = Split({name: Column([]) for name in stream.names}, [])
        self.columns = trained.names(blank, None)
        self.folder = out.with_name(f"{out.stem}_pictures")
        self.filled: dict[str, Type] = {}
        self.added: dict[str, Type] = {}
        self.cellwise: set[str] = set()
        for m, column in self.columns.items():
            self.filled[column] = self.type_of(m)
            lists = self.held(m) == "list" or (
                self.held(m) == "null" and pa.types.is_list(self.filled[column])
            )
            if lists and len(trained.codecs[m].event_shape) == 1:
                self.cellwise.add(m)
            name = f"{column}_filled"
            if name in stream.names:
                raise DataError(
                    f"{stream.path}: there is a column {name!r} already, in which is to stand "
                    f"what was filled. Rename or drop it."
                )
            self.added[name] = pa.list_(pa.bool_()) if m in self.cellwise else pa.bool_()
        if any(map(self.in_files, self.columns)) and self.folder.exists():
            raise UsageError(
                f"--out {out}: the pictures that are filled go to the folder {self.folder}, which "
                f"exists already. Remove it, or choose another name."
            )

    def held(self, modality: str) -> Kind:
        """What the modality's column holds in the file."""
        return self.stream.kind(self.columns[modality])

    def shown(self, modality: str) -> bool:
        """Whether a modality's values are pictures, which the column holds encoded or as paths."""
        codec = self.trained.codecs[modality]
        text = isinstance(codec.show(codec.missing(1))[0], str)
        return not text and self.held(modality) in ("picture", "text", "null")

    def in_files(self, modality: str) -> bool:
        """Whether pictures that are filled go to files, and their paths into the column."""
        empty = self.held(modality) == "null" and not self.stream.holds_bytes
        return self.shown(modality) and (empty or self.held(modality) == "text")

    def type_of(self, modality: str) -> Type:
        """The Arrow type of the values that fill a modality."""
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
        if not any(map(self.in_files, self.columns)):
            yield None
            return
        with storage.staged_folder(self.folder) as staged:
            yield staged

    def items(self, rows: Rows, first: int) -> Split:
        """Rows as items."""
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
        self, modality: str, rows: Rows, first: int, filled: Filling, pictures: Path | None
    ) -> dict[int, Any]:
        """Row → what is to stand there; cells that were there stay as they were."""
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
                new = [guess if gone else known for guess, known, gone in cells]
            found[row] = new
        return found

    def picture(self, encoded: bytes, name: str, folder: Path | None) -> bytes | str:
        """A picture as its column holds it: its content, or the path of its file."""
        if folder is None:
            return encoded
        name = re.sub(r"[^\w.-]", "_", name)
        storage.put(folder / name, encoded)
        return str(self.folder / name)

    def marks(self, n: int, found: Mapping[str, Filling]) -> dict[str, list[Any]]:
        """New column → which values of n rows were filled, or which cells of them."""
        return {f"{column}_filled": self._marks(m, n, found) for m, column in self.columns.items()}

    def _marks(self, modality: str, n: int, found: Mapping[str, Filling]) -> list[Any]:
        shape = self.trained.codecs[modality].event_shape if modality in self.cellwise else ()
        marks = np.zeros((n, *shape), bool)
        if modality in found:
            filled = found[modality]
            marks[filled.rows] = filled.cells if shape else True
        return list(marks.tolist())

    def written(self, modality: str, filled: Filling, k: int) -> Any:
        """The k-th filled value as plain Python, a code where the column holds codes."""
        value = filled.values.values[k]
        value = value.tolist() if hasattr(value, "tolist") else value
        read_as = self.stream.types[self.columns[modality]].kind
        if isinstance(value, str) and read_as in ("integer", "number", "code"):
            return self.code(modality, value, filled.values.names)
        return value

    def code(self, modality: str, name: str, names: tuple[str, ...] | None) -> Any:
        """The code of a class in a column of codes; its name where names are numbers.

        Raises:
            DataError: The column's classes do not have it.
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
    """A picture as the content of a PNG file."""
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()

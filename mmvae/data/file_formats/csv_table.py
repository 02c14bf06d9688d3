"""CSV and TSV files: read in chunks by the types of their columns, and written."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mmvae.data.file_formats.csv_cells import cell_of, other_separator, records, text_of
from mmvae.data.file_formats.json_edit import edited_value
from mmvae.data.file_formats.table_stream import (
    Filled,
    Rows,
    TableStream,
    Types,
    Writer,
    cast,
    read_as,
)
from mmvae.data.file_formats.text_file import (
    SCANNED,
    arrow_type,
    chunked,
    decoded,
)
from mmvae.data.size_bounds import Bounds
from mmvae.data.written_cells import (
    STYLES,
    Evidence,
    is_number,
)
from mmvae.foundations.errors import DataError
from mmvae.modalities.column_type import NULL_WORDS, ColumnType, Kind


class CsvRows(Rows):
    """Records of a CSV file.

    Args:
        stream: The file.
        cells: The cells of each record, as they are written.
        lines: The line of each record.
    """

    def __init__(self, stream: CsvStream, cells: list[list[str]], lines: list[int]) -> None:
        self.stream, self.cells, self.lines = stream, cells, lines

    def __len__(self) -> int:
        return len(self.cells)

    def raw(self, name: str) -> list[Any]:
        """See :meth:`Rows.raw`."""
        place, words = self.stream.names.index(name), self.stream.types[name].words or ()
        return [text_of(record[place], words) for record in self.cells]

    def arrow(self, name: str) -> Any:
        """See :meth:`Rows.arrow`."""
        import pyarrow as pa

        texts: list[Any] = self.raw(name)
        kind = self.stream.types[name].kind
        own = self.stream.kind(name)
        if kind == "list":
            lists = [None if text is None else json.loads(text) for text in texts]
            return pa.array(lists, self.stream.list_type(name))
        plain = (own, kind) in (("integer", "integer"), ("integer", "number"))
        if plain or (own, kind) == ("number", "number"):
            return pa.array(texts, pa.string()).cast(arrow_type(kind))
        if kind in ("integer", "number", "boolean"):
            places = zip(texts, self.lines, strict=True)
            texts = [cast(text, kind, self.place(line, name)) for text, line in places]
        return pa.array(texts, arrow_type(kind))

    def place(self, line: int, name: str) -> str:
        """The place of a cell, for messages."""
        return f"{self.stream.path}, line {line}, column {name!r}"


class CsvStream(TableStream):
    """A CSV or TSV file; the kind of a column is inferred from all of its cells."""

    def __init__(
        self, path: Path, wanted: Types | None = None, bounds: Bounds | None = None
    ) -> None:
        super().__init__(path, wanted, bounds)
        self.separator = "\t" if path.suffix.lower() == ".tsv" else ","
        self.names, self.total = [], 0
        self._header: list[str] = []
        self._words: dict[str, Counter[str]] = {}
        self._evidence: dict[str, Evidence] = {}
        self._scan()
        for name in self.names:
            self.types[name] = self._type(name)
            self._remark(name)

    def _scan(self) -> None:
        import pyarrow as pa

        for rows in self._chunks(SCANNED):
            self.total += len(rows)
            for place, name in enumerate(self.names):
                known = (self.wanted[name].words or ()) if name in self.wanted else ()
                cells = [record[place] for record in rows.cells]
                self._words[name].update(c for c in cells if c in NULL_WORDS and c not in known)
                texts = pa.array([text_of(cell, known) for cell in cells], pa.string())
                self._evidence[name].add(texts)

    def _type(self, name: str) -> ColumnType:
        wanted, kind = self.wanted.get(name), self.kind(name)
        if kind == "list" and wanted is not None and wanted.kind in ("text", "date", "timestamp"):
            kind = "text"  # a cell such as [1] is a text too
        found = read_as(kind, wanted)
        if found.kind == "integer" and wanted is not None and self.kind(name) == "text":
            found = ColumnType("number" if self._broken(name) else "integer")
        if found.kind == "text" and wanted is None:
            return ColumnType("text", frozenset())
        return found

    def _broken(self, name: str) -> bool:
        """True if a column of texts that should be integers holds other numbers."""
        place = self.names.index(name)
        return any(
            isinstance(cast(text_of(record[place]), "number", rows.place(line, name)), float)
            for rows in self._chunks(SCANNED)
            for record, line in zip(rows.cells, rows.lines, strict=True)
        )

    def _remark(self, name: str) -> None:
        if self.kind(name) != "text" or self.types[name].kind != "text":
            return
        for word, count in sorted(self._words[name].items()):
            self.remarks.append(
                f"{self.path}, column {name!r}: {count} cells read {word!r}, taken as missing; to "
                f'keep them as a value, quote them or declare data.types.{name} = "text"'
            )

    def _chunks(self, size: int) -> Iterator[CsvRows]:
        for lines, cells in chunked(self._records(), size, self.bounds.cell):
            yield CsvRows(self, cells, lines)

    def _records(self) -> Iterator[tuple[int, int, list[str]]]:
        lines = decoded(self.path, self.bounds)
        found = records(lines, self.separator, str(self.path), self.bounds)
        _, _, header = next(found, (0, 0, [""]))
        if not self.names:
            self._begin(header)
        several = len(header) > 1
        for line, size, cells in found:
            if cells == [""] and several:  # a blank line
                continue
            if len(cells) != len(header):
                raise DataError(
                    f"{self.path}, line {line}: {len(cells)} values, expected {len(header)}, one "
                    f"for each column. Quote a text in which {self.separator!r} stands."
                    f"{other_separator(header)}"
                )
            yield line, size, cells

    def _begin(self, header: list[str]) -> None:
        self.bounds.check_columns(len(header), self.path)
        names = [text_of(cell, NULL_WORDS) or "" for cell in header]
        if names == [""]:
            raise DataError(f"{self.path}: no rows; expected at least one item.")
        twice = [name for name, count in Counter(names).items() if count > 1]
        if twice:
            raise DataError(
                f"{self.path}, line 1: two columns are called {twice[0]!r}, expected different "
                f"names. Rename one."
            )
        self.names, self._header = names, header
        self._evidence = {name: Evidence() for name in names}
        self._words = {name: Counter() for name in names}

    def chunks(self, size: int) -> Iterator[CsvRows]:
        """See :meth:`TableStream.chunks`."""
        return self._chunks(size)

    def kind(self, name: str) -> Kind:
        """See :meth:`TableStream.kind`."""
        return self._evidence[name].kind

    def list_type(self, name: str) -> Any:
        """The Arrow type of a column of lists."""
        return self._evidence[name].lists

    def schema(self, names: Sequence[str]) -> Any:
        """See :meth:`TableStream.schema`."""
        import pyarrow as pa

        return pa.schema(
            (name, arrow_type(self.types[name].kind) or self.list_type(name)) for name in names
        )

    def writer(self, path: Path, filled: Mapping[str, Any], added: Mapping[str, Any]) -> Writer:
        """See :meth:`TableStream.writer`."""
        return CsvWriter(self, path, tuple(added))

    def cell(self, name: str, value: Any, before: str | None = None) -> str:
        """Format a value as a cell of a column, in the same way as the other cells.

        Args:
            name: The column.
            value: The value.
            before: The text of a list some of whose cells it fills.

        Raises:
            DataError: A CSV file cannot hold it.
        """
        kind = self._evidence[name].kind if name in self._evidence else "null"
        if kind == "boolean" and not isinstance(value, str):
            styles = self._evidence[name].styles
            return STYLES[min(styles)][bool(value)]
        if kind == "text" and isinstance(value, bool):
            value = self.truths(name)[value]
        if kind in ("integer", "number") and isinstance(value, bool):
            value = int(value)
        if kind == "number" and is_number(value):
            value = float(value)
        if isinstance(value, list) and before is not None:
            return cell_of(edited_value(before, value), self.separator)
        return written(value, self.separator, f"{self.path}, column {name!r}")


class CsvWriter(Writer):
    """Writes CSV or TSV; cells that are not filled are written unchanged.

    Args:
        stream: The table that is written again.
        path: The file to write.
        added: New columns.
    """

    def __init__(self, stream: CsvStream, path: Path, added: tuple[str, ...]) -> None:
        self.stream, self.path, self.added = stream, path, added

    def __enter__(self) -> Writer:
        self._file = self.path.open("w", newline="", encoding="utf-8")
        separator = self.stream.separator
        self._put([*self.stream._header, *(cell_of(name, separator) for name in self.added)])
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()

    def _put(self, cells: list[str]) -> None:
        self._file.write(self.stream.separator.join(cells) + "\n")

    def write(self, rows: Rows, filled: Filled, added: Mapping[str, Sequence[Any]]) -> None:
        """See :meth:`Writer.write`."""
        assert isinstance(rows, CsvRows)
        for i, record in enumerate(rows.cells):
            cells = list(record)
            for name, values in filled.items():
                if i in values:
                    place = self.stream.names.index(name)
                    cells[place] = self.stream.cell(name, values[i], text_of(cells[place]))
            self._put(cells + [self.stream.cell(name, added[name][i]) for name in self.added])


def written(value: Any, separator: str, where: str) -> str:
    """Format a value as a cell of a CSV file; lists are JSON arrays.

    Raises:
        DataError: A CSV file cannot hold it.
    """
    if isinstance(value, str):
        if not value or "\0" in value:
            what = "an empty text" if not value else "a text with a NUL character"
            raise DataError(
                f"{where}: {what} is to be written, which a CSV file cannot distinguish from a "
                f"missing value. Give the table as Parquet or JSON lines."
            )
        return cell_of(value, separator)
    if isinstance(value, list):
        return cell_of(json.dumps(value), separator)
    return "" if value is None else str(value)

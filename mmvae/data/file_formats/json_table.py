"""JSON lines, and arrays of JSON objects: read in chunks, and written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mmvae.data.file_formats.json_edit import edited_object
from mmvae.data.file_formats.json_text import JsonArray, value_of
from mmvae.data.file_formats.json_values import (
    NESTED,
    NOT_FINITE,
    NUMBERS,
    Found,
    found_in,
    unholdable,
)
from mmvae.data.file_formats.table_stream import (
    SIMPLE,
    Filled,
    Rows,
    TableStream,
    Types,
    Writer,
    cast,
    first_line,
    fitting,
    read_as,
)
from mmvae.data.file_formats.text_file import (
    SCANNED,
    arrow_type,
    blocks,
    chunked,
    decoded,
)
from mmvae.data.size_bounds import Bounds
from mmvae.data.written_cells import (
    merged,
    unified,
)
from mmvae.foundations.errors import DataError, short
from mmvae.foundations.printable import is_unicode
from mmvae.modalities.column_type import ColumnType, Kind

UNFIT = (OverflowError, UnicodeError, TypeError, ValueError)
"""What Arrow raises of a value that does not fit a type."""


class JsonLinesRows(Rows):
    """Objects of a JSON file.

    Args:
        stream: The file.
        objects: The objects, each with its text.
        lines: The line of each.
    """

    def __init__(
        self,
        stream: JsonLinesStream,
        objects: list[tuple[dict[str, Any], str]],
        lines: list[int],
    ) -> None:
        self.stream, self.lines = stream, lines
        self.objects = [row for row, _ in objects]
        self.texts = [text for _, text in objects]

    def __len__(self) -> int:
        return len(self.objects)

    def raw(self, name: str) -> list[Any]:
        """See :meth:`Rows.raw`."""
        return [row.get(name) for row in self.objects]

    def arrow(self, name: str) -> Any:
        """See :meth:`Rows.arrow`."""
        import pyarrow as pa

        if name in self.stream.refused:
            raise DataError(self.stream.refused[name])
        (field,) = self.stream.schema([name])
        kind, values = self.stream.types[name].kind, [row.get(name) for row in self.objects]
        if self.stream.kind(name) == "number":
            values = [NOT_FINITE[v] if isinstance(v, str) else v for v in values]
        if kind in ("text", "integer", "number", "boolean"):
            places = zip(values, self.lines, strict=True)
            values = [cast(v, kind, self.place(line, name)) for v, line in places]
        try:
            return pa.array(values, field.type)
        except UNFIT as error:
            self.stream.refuse_unholdable(name)
            raise self._unfit(values, field, error) from None

    def _unfit(self, values: list[Any], field: Any, error: Exception) -> DataError:
        """An error that names the first value that does not fit its column."""
        import pyarrow as pa

        unit = self.stream.unit
        where = f"{self.stream.path}, {unit}s {self.lines[0]} to {self.lines[-1]}, column "
        where, said = f"{where}{field.name!r}", first_line(error)
        for value, line in zip(values, self.lines, strict=True):
            try:
                pa.array([value], field.type)
            except UNFIT as own:
                where = self.place(line, field.name)
                said = f"got {short(value)} ({first_line(own)})"
                break
        return DataError(f"{where}: {said}, expected a value of type {field.type}. Correct it.")

    def place(self, line: int, name: str) -> str:
        """The place of a value, for messages."""
        return f"{self.stream.path}, {self.stream.unit} {line}, column {name!r}"


class JsonLinesStream(TableStream):
    """A file of JSON objects, one per line or all in one array; missing keys are null."""

    def __init__(
        self, path: Path, wanted: Types | None = None, bounds: Bounds | None = None
    ) -> None:
        super().__init__(path, wanted, bounds)
        start = next((b.lstrip() for b in blocks(path, self.bounds) if b.strip()), "")
        self.total, self.array = 0, start.startswith("[")
        self.unit = "element" if self.array else "line"
        self._found: dict[str, dict[Found, int]] = {}
        self._arrow: dict[str, Any] = {}
        for rows in self.chunks(SCANNED):
            self.total += len(rows)
            self._scan(rows)
        self.names = list(self._found)
        for name in self.names:
            if why := self._mixed(name):
                self.refused[name], self.types[name] = why, ColumnType("other")
            else:
                self.types[name] = read_as(self.kind(name), self.wanted.get(name))

    def _scan(self, rows: JsonLinesRows) -> None:
        for row, line in zip(rows.objects, rows.lines, strict=True):
            for name, value in row.items():
                found = self._found.setdefault(name, {})
                if value is not None:
                    found.setdefault(found_in(value), line)
            self.bounds.check_columns(len(self._found), self.path)
        for name, found in self._found.items():
            if NESTED & found.keys():
                values = [row.get(name) for row in rows.objects]
                if self._arrow.get(name, ()) is not None:
                    self._arrow[name] = unified(values, self._arrow.get(name))

    def _mixed(self, name: str) -> str:
        """The message on values of several types; empty if there are none, or a type is known."""
        found = self._found[name]
        nested = bool(NESTED & found.keys())
        if nested:
            alike = found.keys() <= NESTED and self._arrow[name] is not None
        else:
            alike = found.keys() <= {"text", "word"} or found.keys() <= NUMBERS or len(found) < 2
            alike = alike or self._is_known(name)
        if alike:
            return ""
        kinds = " and ".join(
            f"{kind} ({self.unit} {line})" for kind, line in list(found.items())[:2]
        )
        if len(found) == 1:
            kinds = f"within lists or objects (the first in {self.unit} {min(found.values())})"
        declared = "" if nested else ", or declare the type in [data.types]"
        return (
            f"{self.path}, column {name!r}: values of several types, {kinds}; expected one. Write "
            f"them in one type{declared}."
        )

    def refuse_unholdable(self, name: str) -> None:
        """Refuse the first value of a column that no table of Arrow holds.

        Raises:
            DataError: There is one.
        """
        for rows in self.chunks(SCANNED):
            for row, line in zip(rows.objects, rows.lines, strict=True):
                if why := unholdable(row.get(name)):
                    raise DataError(f"{rows.place(line, name)}: {why}")

    def _is_known(self, name: str) -> bool:
        """True if a column is requested as a kind that can represent each value."""
        return name in self.wanted and self.wanted[name].kind in SIMPLE

    def chunks(self, size: int) -> Iterator[JsonLinesRows]:
        """See :meth:`TableStream.chunks`."""
        for lines, objects in chunked(self._objects(), size, self.bounds.cell):
            yield JsonLinesRows(self, objects, lines)

    def _objects(self) -> Iterator[tuple[int, int, tuple[dict[str, Any], str]]]:
        if self.array:
            elements = JsonArray(blocks(self.path, self.bounds), str(self.path), self.bounds)
            for k, text, row in elements:
                yield k, len(text), (self._object(row, k), text)
            return
        for number, line in enumerate(decoded(self.path, self.bounds), 1):
            if line.strip():
                row = value_of(line, f"{self.path}, line {number}")
                yield number, len(line), (self._object(row, number), line.strip())

    def _object(self, row: Any, number: int) -> dict[str, Any]:
        if not isinstance(row, dict):
            raise DataError(f"{self.path}, {self.unit} {number}: expected a JSON object.")
        self.bounds.check_columns(len(row), self.path)
        for name in row.keys() - self._found.keys():
            if not is_unicode(name):
                raise DataError(
                    f"{self.path}, {self.unit} {number}: the name {name!r} holds half a "
                    f"character, expected valid Unicode. Rename it."
                )
        return row

    def kind(self, name: str) -> Kind:
        """See :meth:`TableStream.kind`."""
        found = set(self._found[name])
        if NESTED & found:
            return "list" if found == {"list"} else "other"
        if found == {"word"}:
            return "text"
        if found and found <= NUMBERS:
            return "integer" if found == {"integer"} else "number"
        kinds: list[Kind] = [kind for kind in found if kind != "word"]
        return merged(kinds)

    def schema(self, names: Sequence[str]) -> Any:
        """See :meth:`TableStream.schema`."""
        import pyarrow as pa

        return pa.schema((name, self._arrow_type(name)) for name in names)

    def _arrow_type(self, name: str) -> Any:
        import pyarrow as pa

        if name in self.refused:
            self.refuse_unholdable(name)
            return pa.null()
        return arrow_type(self.types[name].kind) or self._arrow[name]

    def writer(self, path: Path, filled: Mapping[str, Any], added: Mapping[str, Any]) -> Writer:
        """See :meth:`TableStream.writer`."""
        return JsonLinesWriter(self, path)


class JsonLinesWriter(Writer):
    """Writes JSON lines, or one array if the table was one; other values stay unchanged.

    Args:
        stream: The table that is written again.
        path: The file to write.
    """

    def __init__(self, stream: JsonLinesStream, path: Path) -> None:
        self.stream, self.path, self._rows = stream, path, 0

    def __enter__(self) -> Writer:
        self._file = self.path.open("w", encoding="utf-8")
        return self

    def __exit__(self, *error: object) -> None:
        if self.stream.array:
            self._file.write("\n]\n" if self._rows else "[]\n")
        self._file.close()

    def write(self, rows: Rows, filled: Filled, added: Mapping[str, Sequence[Any]]) -> None:
        """See :meth:`Writer.write`."""
        assert isinstance(rows, JsonLinesRows)
        for i, text in enumerate(rows.texts):
            changed = {
                name: fitting(values[i], self.stream, name)
                for name, values in filled.items()
                if i in values
            }
            new = {name: values[i] for name, values in added.items()}
            text = edited_object(text, changed, new)
            if self.stream.array:
                text = (",\n" if self._rows else "[\n") + text
            self._file.write(text if self.stream.array else text + "\n")
            self._rows += 1

"""CSV and JSON-lines files, in chunks."""

from __future__ import annotations

import io
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Literal, TextIO, TypeVar

from mmvae.data.bounds import Bounds
from mmvae.data.streams.csv_cells import cell_of, other_separator, records, text_of
from mmvae.data.streams.json_text import BLOCK, JsonArray, value_of
from mmvae.data.streams.stream import (
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
from mmvae.data.written_cells import (
    LARGEST,
    STYLES,
    Evidence,
    is_number,
    merged,
    of_numbers,
    unified,
)
from mmvae.foundations.errors import DataError, short
from mmvae.foundations.printable import is_unicode
from mmvae.modalities.column_type import NULL_WORDS, ColumnType, Kind

ENCODING = "utf-8-sig"
"""UTF-8, with or without a byte order mark, as spreadsheets write it."""

SCANNED = 10_000
"""Number of rows examined together to find the kinds of columns."""


def arrow_type(kind: Kind) -> Any:
    """The Arrow type of values of a kind; None if it is inferred from the values."""
    import pyarrow as pa

    types = {
        "text": pa.string(),
        "integer": pa.int64(),
        "number": pa.float64(),
        "boolean": pa.bool_(),
        "null": pa.null(),
    }
    return types.get(kind)


def decoded(path: Path, bounds: Bounds) -> Iterator[str]:
    """The lines of a text file, with their ends.

    Raises:
        DataError: It cannot be read, is no text in UTF-8, or has a line that is too long.
    """
    with opened(path, bounds) as file:
        lines = iter(partial(file.readline, bounds.cell + 1), "")
        for number, line in enumerate(lines, 1):
            if len(line) > bounds.cell:
                bounds.check_cell(len(line), f"{path}, line {number}")
            if "\0" in line:
                raise DataError(
                    f"{path}, line {number}: a NUL character, expected text. Save the file as "
                    f"UTF-8, or give the table as Parquet."
                )
            yield line


def blocks(path: Path, bounds: Bounds) -> Iterator[str]:
    """A text file in parts, whatever its lines.

    Raises:
        DataError: It cannot be read, or is no text in UTF-8.
    """
    with opened(path, bounds) as file:
        yield from iter(partial(file.read, BLOCK), "")


@contextmanager
def opened(path: Path, bounds: Bounds) -> Iterator[TextIO]:
    """A text file in UTF-8.

    Raises:
        DataError: It cannot be read, or is no text in UTF-8.
    """
    try:
        with io.TextIOWrapper(bounds.open(path), newline="", encoding=ENCODING) as file:
            yield file
    except UnicodeDecodeError as error:
        with bounds.open(path) as again:
            lines = iter(partial(again.readline, bounds.cell), b"")
            line = next((k for k, text in enumerate(lines, 1) if not is_utf_8(text)), "?")
        raise DataError(
            f"{path}, line {line}: {error.reason} ({first_line(error)}). Expected text in UTF-8: "
            f"save it so."
        ) from error
    except OSError as error:
        raise DataError(f"{path} cannot be read: {first_line(error)}.") from error


def is_utf_8(text: bytes) -> bool:
    """Whether bytes are text in UTF-8."""
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True


Record = TypeVar("Record")


def chunked(
    records: Iterable[tuple[int, int, Record]], most: int, characters: int
) -> Iterator[tuple[list[int], list[Record]]]:
    """Records together, with their lines, until there are ``most`` or they hold so much.

    Args:
        records: Line, length in characters, and record.
        most: How many to take together.
        characters: How many characters to take together, and one record more.
    """
    lines: list[int] = []
    found: list[Record] = []
    held = 0
    for line, size, record in records:
        lines.append(line)
        found.append(record)
        held += size
        if len(found) == most or held > characters:
            yield lines, found
            lines, found, held = [], [], 0
    if found:
        yield lines, found


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

    def arrow(self, name: str) -> Any:
        """See :meth:`Rows.arrow`."""
        import pyarrow as pa

        place, kind = self.stream.names.index(name), self.stream.types[name].kind
        words = self.stream.types[name].words or ()
        texts = [text_of(record[place], words) for record in self.cells]
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
        wanted = self.wanted.get(name)
        found = read_as(self.kind(name), wanted)
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

    def cell(self, name: str, value: Any) -> str:
        """Format a value as a cell of a column, in the same way as the other cells.

        Raises:
            DataError: A CSV file cannot hold it.
        """
        kind = self._evidence[name].kind if name in self._evidence else "null"
        if kind == "boolean" and not isinstance(value, str):
            styles = self._evidence[name].styles
            return STYLES[min(styles)][bool(value)]
        if kind in ("integer", "number") and isinstance(value, bool):
            value = int(value)
        if kind == "number" and is_number(value):
            value = float(value)
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
                    cells[self.stream.names.index(name)] = self.stream.cell(name, values[i])
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
                f"{where}: {what} is to be written, which a CSV file cannot tell from a missing "
                f"value. Give the table as Parquet or JSON lines."
            )
        return cell_of(value, separator)
    if isinstance(value, list):
        return cell_of(json.dumps(value), separator)
    return "" if value is None else str(value)


NOT_FINITE = {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": -float("inf")}
"""The written form of numbers that JSON lacks."""


UNFIT = (OverflowError, UnicodeError, TypeError, ValueError)
"""What Arrow raises of a value that does not fit a type."""


class JsonLinesRows(Rows):
    """Objects of a JSON file.

    Args:
        stream: The file.
        objects: The objects.
        lines: The line of each.
    """

    def __init__(
        self, stream: JsonLinesStream, objects: list[dict[str, Any]], lines: list[int]
    ) -> None:
        self.stream, self.objects, self.lines = stream, objects, lines

    def __len__(self) -> int:
        return len(self.objects)

    def arrow(self, name: str) -> Any:
        """See :meth:`Rows.arrow`."""
        import pyarrow as pa

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

        where = f"{self.stream.path}, lines {self.lines[0]} to {self.lines[-1]}, column "
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
        return f"{self.stream.path}, line {line}, column {name!r}"


class JsonLinesStream(TableStream):
    """A file of JSON objects, one per line or all in one array; missing keys are null."""

    def __init__(
        self, path: Path, wanted: Types | None = None, bounds: Bounds | None = None
    ) -> None:
        super().__init__(path, wanted, bounds)
        start = next((b.lstrip() for b in blocks(path, self.bounds) if b.strip()), "")
        self.total, self.array = 0, start.startswith("[")
        self._found: dict[str, dict[Found, int]] = {}
        self._arrow: dict[str, Any] = {}
        for rows in self.chunks(SCANNED):
            self.total += len(rows)
            self._scan(rows)
        self.names = list(self._found)
        for name in self.names:
            self.types[name] = read_as(self.kind(name), self.wanted.get(name))

    def _scan(self, rows: JsonLinesRows) -> None:
        for row, line in zip(rows.objects, rows.lines, strict=True):
            for name, value in row.items():
                if name not in self._found and not is_unicode(name):
                    raise DataError(
                        f"{self.path}, line {line}: a column is called {name!r}, which has half a "
                        f"character in it; expected valid Unicode. Rename it."
                    )
                found = self._found.setdefault(name, {})
                if value is not None:
                    found.setdefault(found_in(value), line)
        for name, found in self._found.items():
            if NESTED & found.keys():
                values = [row.get(name) for row in rows.objects]
                if self._arrow.get(name, ()) is not None:
                    self._arrow[name] = unified(values, self._arrow.get(name))

    def _refuse_mixed(self, name: str) -> None:
        """Refuse values of several types, unless the type of the column is known."""
        found = self._found[name]
        if NESTED & found.keys():
            alike = found.keys() <= NESTED and self._arrow[name] is not None
        else:
            alike = found.keys() <= {"text", "word"} or found.keys() <= NUMBERS or len(found) < 2
            alike = alike or self._is_known(name)
        if alike:
            return
        self.refuse_unholdable(name)
        told = " and ".join(f"{kind} (line {line})" for kind, line in list(found.items())[:2])
        raise DataError(
            f"{self.path}, column {name!r}: values of several types, {told}; expected one. Write "
            f"them alike, or declare what they are in [data.types]."
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

    def _objects(self) -> Iterator[tuple[int, int, dict[str, Any]]]:
        if self.array:
            elements = JsonArray(blocks(self.path, self.bounds), str(self.path), self.bounds)
            yield from ((k, size, self._object(row, k)) for k, size, row in elements)
            return
        for number, line in enumerate(decoded(self.path, self.bounds), 1):
            if line.strip():
                row = value_of(line, f"{self.path}, line {number}")
                yield number, len(line), self._object(row, number)

    def _object(self, row: Any, number: int) -> dict[str, Any]:
        if not isinstance(row, dict):
            raise DataError(f"{self.path}, line {number}: expected a JSON object.")
        for name in row.keys() - self._found.keys():
            if not is_unicode(name):
                raise DataError(
                    f"{self.path}, line {number}: the name {name!r} holds half a character, "
                    f"expected Unicode text. Rename it."
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

        for name in names:
            self._refuse_mixed(name)
        return pa.schema(
            (name, arrow_type(self.types[name].kind) or self._arrow[name]) for name in names
        )

    def writer(self, path: Path, filled: Mapping[str, Any], added: Mapping[str, Any]) -> Writer:
        """See :meth:`TableStream.writer`."""
        return JsonLinesWriter(self, path)


Found = Literal["text", "word", "integer", "number", "boolean", "list", "other"]
"""Kinds of values of JSON; ``word``: a text that may be a number that is not finite."""


def unholdable(value: Any) -> str:
    """Why no table of Arrow holds a value of JSON, and what to do; empty if one does."""
    if isinstance(value, dict):
        return next(filter(None, map(unholdable, [*value, *value.values()])), "")
    if isinstance(value, list):
        return next(filter(None, map(unholdable, value)), "")
    if isinstance(value, str) and not is_unicode(value):
        return f"got {short(value)}, half a character, expected valid Unicode. Correct the text."
    if isinstance(value, int) and not -LARGEST <= value < LARGEST:
        return (
            f"got {short(value)}, expected a whole number of 64 bits. Write it as a text, in "
            f"quotes, if it is an id or a label; else with a decimal point."
        )
    return ""


NUMBERS = frozenset({"integer", "number", "word"})
NESTED = frozenset({"list", "other"})


def found_in(value: Any) -> Found:
    """The kind of a value of JSON that is not null."""
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, str):
        return "word" if value in NOT_FINITE else "text"
    if isinstance(value, int):
        return "integer"
    if isinstance(value, float):
        return "number"
    return "list" if isinstance(value, list) and of_numbers(value) else "other"


class JsonLinesWriter(Writer):
    """Writes JSON: lines, or one array if the table was one.

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
        for i, row in enumerate(rows.objects):
            new = dict(row)
            for name, values in filled.items():
                if i in values:
                    where = f"{self.stream.path}, column {name!r}"
                    new[name] = fitting(values[i], self.stream.kind(name), where)
            text = json_text(new | {name: values[i] for name, values in added.items()})
            if self.stream.array:
                text = (",\n" if self._rows else "[\n") + text
            self._file.write(text if self.stream.array else text + "\n")
            self._rows += 1


def json_text(row: Mapping[str, Any]) -> str:
    """An object as JSON, in UTF-8 where its texts are valid Unicode."""
    text = json.dumps(row, ensure_ascii=False)  # half a character JSON can say by number alone
    return text if is_unicode(text) else json.dumps(row)

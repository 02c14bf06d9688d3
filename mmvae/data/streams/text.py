"""CSV and JSON-lines files, in chunks."""

from __future__ import annotations

import csv
import json
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mmvae.data.streams.stream import Kind, Rows, TableStream, Writer, first_line
from mmvae.errors import DataError, UsageError

NULLS = frozenset(("", "#N/A", "<NA>", "N/A", "NA", "NULL", "NaN", "None", "n/a", "nan", "null"))
"""What stands for no value in a CSV file, as ``datasets`` reads it."""

ENCODING = "utf-8-sig"
"""UTF-8, with a mark at its beginning or without, as spreadsheets write it."""


class TextRows(Rows):
    """Rows of a text file, each with its values by column."""

    def __init__(self, stream: TextStream, rows: list[dict[str, Any]]) -> None:
        self.stream, self.rows = stream, rows

    def __len__(self) -> int:
        return len(self.rows)

    def values(self, name: str) -> list[Any]:
        """See :meth:`Rows.values`."""
        return [self.stream.value(name, row.get(name)) for row in self.rows]


class TextStream(TableStream):
    """What CSV and JSON lines have in common: rows as dictionaries, read twice."""

    def chunks(self, size: int) -> Iterator[Rows]:
        """See :meth:`TableStream.chunks`."""
        waiting: list[dict[str, Any]] = []
        for row in self.rows():
            waiting.append(row)
            if len(waiting) == size:
                yield TextRows(self, waiting)
                waiting = []
        if waiting:
            yield TextRows(self, waiting)

    @abstractmethod
    def rows(self) -> Iterator[dict[str, Any]]:
        """All rows, as they are written."""

    def value(self, name: str, written: Any) -> Any:
        """A value as codecs take it."""
        return written


class CsvStream(TextStream):
    """A CSV or TSV file; a column of which every value is a number is one of numbers."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._separator = "\t" if path.suffix == ".tsv" else ","
        self.names, self.total = [], 0
        self._number: dict[str, type[int] | type[float] | None] = {}  # None: no value yet
        for row in self.rows():
            self.total += 1
            for name in list(self._number):
                self._narrow(name, row[name])

    def rows(self) -> Iterator[dict[str, Any]]:
        """See :meth:`TextStream.rows`."""
        try:
            with self.path.open(newline="", encoding=ENCODING) as file:
                lines = csv.reader(file, delimiter=self._separator)
                names = next(lines, [])
                if not self.names:
                    self.names = names
                    self._number = dict.fromkeys(names)
                if len(set(names)) < len(names) or not names:
                    raise DataError(f"{self.path}: expected a line of different names first.")
                for cells in lines:
                    if not cells:  # a blank line, which datasets leaves out, too
                        continue
                    if len(cells) != len(names):
                        raise DataError(
                            f"{self.path}, line {lines.line_num}: {len(cells)} values, expected "
                            f"{len(names)}, one for each column."
                        )
                    yield dict(zip(names, cells, strict=True))
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            raise DataError(f"{self.path} cannot be read: {first_line(error)}.") from error

    def _narrow(self, name: str, text: str) -> None:
        if text in NULLS:
            return
        for kind in (int, float):
            if kind is int and self._number[name] is float:
                continue
            try:
                kind(text)
            except ValueError:
                continue
            self._number[name] = kind
            return
        del self._number[name]

    def value(self, name: str, written: Any) -> Any:
        """See :meth:`TextStream.value`."""
        if written in NULLS:
            return None
        kind = self._number.get(name)
        return written if kind is None else kind(written)

    def kind(self, name: str) -> Kind:
        """See :meth:`TableStream.kind`."""
        if name not in self._number:
            return "text"
        kinds: dict[type | None, Kind] = {int: "integer", float: "float", None: "null"}
        return kinds[self._number[name]]

    def writer(self, path: Path, changed: Mapping[str, Kind], added: Mapping[str, Kind]) -> Writer:
        """See :meth:`TableStream.writer`."""
        for name, kind in changed.items():
            if kind in ("picture", "integers", "floats"):
                raise UsageError(
                    f"{self.path}: column {name!r} is empty, and a CSV file cannot hold what the "
                    f"model would fill in. Give the table as Parquet, or leave the column out."
                )
        return CsvWriter(path, [*self.names, *added], self._separator)


class CsvWriter(Writer):
    """Writes CSV or TSV."""

    def __init__(self, path: Path, names: list[str], separator: str) -> None:
        self.path, self.names, self._separator = path, names, separator

    def __enter__(self) -> Writer:
        self._file = self.path.open("w", newline="", encoding="utf-8")
        self._lines = csv.writer(self._file, delimiter=self._separator, lineterminator="\n")
        self._lines.writerow(self.names)
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()

    def write(self, rows: Rows, replaced: Mapping[str, Sequence[Any]]) -> None:
        """See :meth:`Writer.write`; what stays the same value is written as it was."""
        assert isinstance(rows, TextRows)
        columns: list[Sequence[Any]] = []
        for name in self.names:
            new = replaced.get(name)
            if name not in rows.stream.names:
                columns.append(replaced[name])
                continue
            written = [row[name] for row in rows.rows]
            if new is not None:
                trios = zip(written, rows.values(name), new, strict=True)
                written = [text if value == other else other for text, value, other in trios]
            columns.append(written)
        self._lines.writerows(zip(*columns, strict=True))


class JsonLinesStream(TextStream):
    """A file with a JSON object on each line; a name that a line leaves out is null there."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.total, self._kinds = 0, dict[str, set[type]]()
        for row in self.rows():
            self.total += 1
            for name, value in row.items():
                kinds = self._kinds.setdefault(name, set())
                if value is not None:
                    kinds.add(type(value))
        self.names = list(self._kinds)

    def rows(self) -> Iterator[dict[str, Any]]:
        """See :meth:`TextStream.rows`."""
        try:
            with self.path.open(encoding=ENCODING) as file:
                for number, line in enumerate(file, 1):
                    if not line.strip():
                        continue
                    row = json.loads(line)
                    if not isinstance(row, dict):
                        raise DataError(f"{self.path}, line {number}: expected a JSON object.")
                    yield row
        except json.JSONDecodeError as error:
            raise DataError(f"{self.path}, line {number}: no JSON ({error}).") from error
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(f"{self.path} cannot be read: {first_line(error)}.") from error

    def kind(self, name: str) -> Kind:
        """See :meth:`TableStream.kind`."""
        found = self._kinds.get(name)
        if not found:
            return "null"
        if found <= {int, float}:
            return "integer" if found == {int} else "float"
        names: dict[type, Kind] = {bool: "bool", list: "floats", str: "text"}
        return names.get(next(iter(found)), "other") if len(found) == 1 else "other"

    def writer(self, path: Path, changed: Mapping[str, Kind], added: Mapping[str, Kind]) -> Writer:
        """See :meth:`TableStream.writer`."""
        if pictures := [name for name, kind in changed.items() if kind == "picture"]:
            raise UsageError(
                f"{self.path}: {pictures[0]!r} is empty, and JSON lines cannot hold the pictures "
                f"that the model would fill in. Give the table as Parquet, or leave it out."
            )
        return JsonLinesWriter(path)


class JsonLinesWriter(Writer):
    """Writes JSON lines."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __enter__(self) -> Writer:
        self._file = self.path.open("w", encoding="utf-8")
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()

    def write(self, rows: Rows, replaced: Mapping[str, Sequence[Any]]) -> None:
        """See :meth:`Writer.write`."""
        assert isinstance(rows, TextRows)
        for i, row in enumerate(rows.rows):
            new = row | {name: values[i] for name, values in replaced.items()}
            self._file.write(json.dumps(new, ensure_ascii=False) + "\n")

"""Parquet files, and Arrow files and streams, in chunks."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from mmvae.data.file_formats.arrow_cells import replaced, widened
from mmvae.data.file_formats.arrow_file import opened_arrow
from mmvae.data.file_formats.arrow_types import (
    described,
    features,
    is_readable,
    kind_of,
    plain,
    plain_type,
    refusal,
    retyped,
    wider,
)
from mmvae.data.file_formats.table_stream import (
    DAMAGED,
    SIMPLE,
    Filled,
    Rows,
    TableStream,
    Types,
    Writer,
    cast,
    first_line,
    read_as,
)
from mmvae.data.file_formats.weight import pieces
from mmvae.data.size_bounds import Bounds
from mmvae.foundations.errors import DataError
from mmvae.modalities.column_type import ColumnType, Kind


class ArrowRows(Rows):
    """Rows of an Arrow table.

    Args:
        stream: The file.
        table: The rows.
        first: The number of the first one.
    """

    def __init__(self, stream: ArrowStream, table: Any, first: int) -> None:
        self.stream, self.table, self.first = stream, table, first

    def __len__(self) -> int:
        return int(self.table.num_rows)

    def raw(self, name: str) -> list[Any]:
        """See :meth:`Rows.raw`."""
        with self.stream.readable():
            return list(plain(self.table.column(name)).to_pylist())

    def arrow(self, name: str) -> Any:
        """See :meth:`Rows.arrow`."""
        import pyarrow as pa

        if name in self.stream.refused:
            raise DataError(self.stream.refused[name])
        column = self.table.column(name)
        with self.stream.readable():
            found = plain(column)
        own, kind = self.stream.kind(name), self.stream.types[name].kind
        if kind not in SIMPLE or own in (kind, "null"):
            return found
        if kind == "text" and pa.types.is_decimal(column.type):
            found = column  # its texts keep their zeros: 1.10 is not 1.1
        where = f"{self.stream.path}, column {name!r}, row "
        values = [
            cast(value, kind, f"{where}{row}")
            for row, value in enumerate(found.to_pylist(), self.first)
        ]
        (field,) = self.stream.schema([name])
        return pa.array(values, field.type)


class ArrowStream(TableStream):
    """A Parquet file, or an Arrow file or stream as ``datasets`` writes them."""

    holds_bytes = True

    def __init__(
        self, path: Path, wanted: Types | None = None, bounds: Bounds | None = None
    ) -> None:
        super().__init__(path, wanted, bounds)
        with self.readable(), opened_arrow(self.path, self.bounds) as (own, total, _):
            self.bounds.check_columns(len(own), path)
            self.own, self.total, self.names = own, total, list(own.names)
            self._features = features(own)
        for name in self.names:
            if self.names.count(name) > 1:
                raise DataError(
                    f"{path}: two columns are called {name!r}, expected different names. Rename "
                    f"one."
                )
            own_kind = self.kind(name)
            if not is_readable(own.field(name).type):
                self.refused[name] = refusal(path, name, own.field(name).type)
                self.types[name] = ColumnType("other")
                continue
            dated = own_kind in ("date", "timestamp")
            found = ColumnType(own_kind) if dated else read_as(own_kind, self.wanted.get(name))
            coded = own_kind == "integer" and self.labels(name) is not None
            self.types[name] = ColumnType("code") if coded else found

    def chunks(self, size: int) -> Iterator[ArrowRows]:
        """See :meth:`TableStream.chunks`."""
        import pyarrow as pa

        read = [name for name in self.names if name not in self.refused]
        with self.readable(), opened_arrow(self.path, self.bounds) as (own, _, batches):
            waiting: list[Any] = []
            count = done = pending = total = 0
            for batch in batches:
                batch.validate(full=True)
                weighed = pieces(batch, self.path, done + count, self.bounds, read)
                for piece, weight in weighed:
                    pending, total = pending + weight, total + weight
                    self.bounds.check_decoded(total, self.path)
                    waiting.append(piece)
                    count += piece.num_rows
                    while count >= size or (count and pending > self.bounds.cell):
                        table, taken = pa.Table.from_batches(waiting, own), min(count, size)
                        yield ArrowRows(self, table.slice(0, taken), done)
                        waiting = table.slice(taken).to_batches()
                        count, done, pending = count - taken, done + taken, 0
            if count:
                yield ArrowRows(self, pa.Table.from_batches(waiting, own), done)

    @contextmanager
    def readable(self) -> Iterator[None]:
        """Report errors of Arrow in the block as a damaged file."""
        import pyarrow as pa

        try:
            yield
        except (pa.ArrowException, struct.error, *DAMAGED) as error:
            raise DataError(
                f"{self.path} cannot be read as a table: {first_line(error)}. It may be damaged "
                f"or cut: write it again."
            ) from error

    def kind(self, name: str) -> Kind:
        """See :meth:`TableStream.kind`."""
        return kind_of(self.own.field(name).type)

    def labels(self, name: str) -> tuple[str, ...] | None:
        """See :meth:`TableStream.labels`."""
        names = getattr(self._features.get(name), "names", None)
        return tuple(names) if names else None

    def schema(self, names: Sequence[str]) -> Any:
        """See :meth:`TableStream.schema`."""
        import pyarrow as pa

        types = {
            "text": pa.string(),
            "integer": pa.int64(),
            "number": pa.float64(),
            "boolean": pa.bool_(),
        }
        fields = []
        for name in names:
            kind, own = self.types[name].kind, self.own.field(name).type
            if name in self.refused:
                fields.append(pa.field(name, pa.null()))
                continue
            changed = kind in types and kind != self.kind(name)
            fields.append(pa.field(name, types[kind] if changed else plain_type(own)))
        return described(self.own, pa.schema(fields))

    def writer(self, path: Path, filled: Mapping[str, Any], added: Mapping[str, Any]) -> Writer:
        """See :meth:`TableStream.writer`."""
        import pyarrow as pa

        after = self.own
        for name, kind in filled.items():
            place = after.get_field_index(name)
            after = after.set(
                place, after.field(name).with_type(wider(after.field(name).type, kind))
            )
        for name, kind in added.items():
            after = after.append(pa.field(name, kind))
        return ArrowWriter(self, path, described(self.own, after))


class ArrowWriter(Writer):
    """Writes Parquet or an Arrow file; values that are not filled stay identical, to the bit.

    Args:
        stream: The table that is written again.
        path: The file to write.
        schema: The schema of all columns, including new ones.
    """

    def __init__(self, stream: ArrowStream, path: Path, schema: Any) -> None:
        self.stream, self.path, self.schema = stream, path, schema
        self.retyped = retyped(stream.own, schema)
        self._stack = ExitStack()

    def __enter__(self) -> Writer:
        import pyarrow as pa
        import pyarrow.parquet as pq

        if self.stream.path.suffix.lower() == ".parquet":
            made = pq.ParquetWriter(str(self.path), self.schema)
        else:
            options = pa.ipc.IpcWriteOptions(unify_dictionaries=False, emit_dictionary_deltas=True)
            made = pa.ipc.new_file(str(self.path), self.schema, options=options)
        self._writer = self._stack.enter_context(made)
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def write(self, rows: Rows, filled: Filled, added: Mapping[str, Sequence[Any]]) -> None:
        """See :meth:`Writer.write`."""
        import pyarrow as pa

        assert isinstance(rows, ArrowRows)
        columns = []
        for field in self.schema:
            if field.name in added:
                columns.append(pa.array(list(added[field.name]), type=field.type))
                continue
            column = rows.table.column(field.name)
            where = f"{self.stream.path}, column {field.name!r}"
            try:
                column = widened(column, field.type, where)
                values = filled.get(field.name, {})
                columns.append(replaced(column, values, self.stream, field.name))
            except (pa.ArrowException, TypeError, OverflowError, UnicodeError) as error:
                raise DataError(
                    f"{where}: what the model fills in does not fit its type {field.type}: "
                    f"{first_line(error)}. Give the column a type that holds it."
                ) from error
        table = pa.Table.from_arrays(columns, schema=self.schema)
        self._writer.write_table(table.combine_chunks())  # of which each would be a batch

"""Parquet files, and Arrow files and streams, in chunks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from mmvae.data.streams.stream import Kind, Rows, TableStream, Writer, first_line
from mmvae.errors import DataError


class ArrowRows(Rows):
    """Rows of an Arrow table."""

    def __init__(self, table: Any) -> None:
        self.table = table

    def __len__(self) -> int:
        return int(self.table.num_rows)

    def values(self, name: str) -> list[Any]:
        """See :meth:`Rows.values`."""
        found: list[Any] = self.table.column(name).to_pylist()
        return [None if is_empty(value) else value for value in found]


def is_empty(value: Any) -> bool:
    """Whether a value is a struct without anything in it, as of a picture that is not there."""
    return isinstance(value, dict) and all(part is None for part in value.values())


class ArrowStream(TableStream):
    """A Parquet file, or an Arrow file or stream as ``datasets`` writes them."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        import pyarrow as pa

        try:
            with self._opened() as (schema, total, _):
                self.schema, self.total = schema, total
        except (pa.ArrowException, OSError, ValueError) as error:
            raise DataError(f"{path} cannot be read as a table: {first_line(error)}.") from error
        self.names = list(self.schema.names)

    def _opened(self) -> Any:
        return opened_arrow(self.path)

    def chunks(self, size: int) -> Iterator[Rows]:
        """See :meth:`TableStream.chunks`."""
        import pyarrow as pa

        try:
            with self._opened() as (schema, _, batches):
                waiting: list[Any] = []
                count = 0
                for batch in batches:
                    waiting.append(batch)
                    count += batch.num_rows
                    while count >= size:
                        table = pa.Table.from_batches(waiting, schema)
                        yield ArrowRows(table.slice(0, size))
                        waiting = table.slice(size).to_batches()
                        count -= size
                if count:
                    yield ArrowRows(pa.Table.from_batches(waiting, schema))
        except (pa.ArrowException, OSError) as error:
            raise DataError(
                f"{self.path} ends early or is damaged: {first_line(error)}. Write it again."
            ) from error

    def _type(self, name: str) -> Any:
        return self.schema.field(name).type

    def kind(self, name: str) -> Kind:
        """See :meth:`TableStream.kind`."""
        from pyarrow import types

        kind = self._type(name)
        if types.is_binary(kind) or types.is_large_binary(kind) or self._in_struct(name):
            return "picture"
        if types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind):
            return list_kind(kind.value_type)
        tests: tuple[tuple[Kind, Any], ...] = (
            ("null", types.is_null),
            ("bool", types.is_boolean),
            ("integer", types.is_integer),
            ("float", types.is_floating),
            ("text", types.is_string),
            ("text", types.is_large_string),
        )
        return next((word for word, test in tests if test(kind)), "other")

    def _in_struct(self, name: str) -> bool:
        """Whether a column holds encoded files as ``datasets`` does, with their paths."""
        from pyarrow import types

        kind = self._type(name)
        return bool(types.is_struct(kind) and kind.get_field_index("bytes") >= 0)

    def picture(self, name: str, encoded: bytes) -> Any:
        """See :meth:`TableStream.picture`."""
        return {"bytes": encoded, "path": None} if self._in_struct(name) else encoded

    def writer(self, path: Path, changed: Mapping[str, Kind], added: Mapping[str, Kind]) -> Writer:
        """See :meth:`TableStream.writer`."""
        import pyarrow as pa

        schema = self.schema
        for name in changed:
            place = schema.get_field_index(name)
            schema = schema.set(place, schema.field(name).with_type(arrow_type(changed[name])))
        for name, kind in added.items():
            schema = schema.append(pa.field(name, arrow_type(kind)))
        return ArrowWriter(path, described(self.schema, schema), self.path.suffix == ".parquet")


class ArrowWriter(Writer):
    """Writes Parquet or an Arrow file."""

    def __init__(self, path: Path, schema: Any, parquet: bool) -> None:
        self.path, self.schema, self.parquet = path, schema, parquet
        self._stack = ExitStack()

    def __enter__(self) -> Writer:
        import pyarrow as pa
        import pyarrow.parquet as pq

        make = pq.ParquetWriter if self.parquet else pa.ipc.new_file
        self._writer = self._stack.enter_context(make(str(self.path), self.schema))
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def write(self, rows: Rows, replaced: Mapping[str, Sequence[Any]]) -> None:
        """See :meth:`Writer.write`."""
        import pyarrow as pa

        assert isinstance(rows, ArrowRows)
        columns = []
        for field in self.schema:
            if field.name not in replaced:
                columns.append(rows.table.column(field.name))
                continue
            try:
                columns.append(pa.array(list(replaced[field.name]), type=field.type))
            except (pa.ArrowException, TypeError) as error:
                raise DataError(
                    f"column {field.name!r}: what the model says does not fit its type "
                    f"{field.type}: {first_line(error)}. Give the column the type that the model "
                    f"was trained on."
                ) from error
        self._writer.write_table(pa.Table.from_arrays(columns, schema=self.schema))


def opened_arrow(path: Path) -> Any:
    """A context that gives schema, number of rows and batches of a Parquet or Arrow file."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    @contextmanager
    def parquet() -> Iterator[Any]:
        with pq.ParquetFile(path) as file:
            yield file.schema_arrow, file.metadata.num_rows, file.iter_batches(1024)

    @contextmanager
    def arrow() -> Iterator[Any]:
        with pa.memory_map(str(path)) as source:
            try:
                file = pa.ipc.open_file(source)
            except pa.ArrowInvalid:  # a stream, as datasets writes
                source.seek(0)
                stream = pa.ipc.open_stream(source)
                counted = sum(batch.num_rows for batch in stream)
                source.seek(0)
                yield stream.schema, counted, pa.ipc.open_stream(source)
                return
            batches = (file.get_batch(i) for i in range(file.num_record_batches))
            counted = sum(file.get_batch(i).num_rows for i in range(file.num_record_batches))
            yield file.schema, counted, batches

    return parquet() if path.suffix == ".parquet" else arrow()


def list_kind(cell: Any) -> Kind:
    """What a column of lists holds, by the type of a cell."""
    from pyarrow import types

    if types.is_integer(cell):
        return "integers"
    return "floats" if types.is_floating(cell) or types.is_null(cell) else "other"


def arrow_type(kind: Kind) -> Any:
    """The Arrow type of a new column."""
    import pyarrow as pa

    types = {
        "bool": pa.bool_(),
        "bools": pa.list_(pa.bool_()),
        "integer": pa.int64(),
        "integers": pa.list_(pa.int64()),
        "float": pa.float64(),
        "floats": pa.list_(pa.float64()),
        "text": pa.string(),
        "picture": pa.binary(),
    }
    return types[kind]


def described(before: Any, after: Any) -> Any:
    """A schema whose metadata for ``datasets``, if there are any, know of all its columns."""
    metadata = before.metadata or {}
    if b"huggingface" not in metadata:
        return after
    import datasets

    known = datasets.Features.from_arrow_schema(before)
    plain = datasets.Features.from_arrow_schema(after.remove_metadata())
    features = datasets.Features(
        {
            f.name: known[f.name]
            if f.name in known and before.field(f.name).type == f.type
            else plain[f.name]
            for f in after
        }
    )
    return after.with_metadata({**metadata, **(features.arrow_schema.metadata or {})})

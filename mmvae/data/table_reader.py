"""The reader of tables: files of any kind, by their streams, into one memory-mapped table.

Every command reads files through it only, so that a value is the same in training, imputation,
embedding and scoring.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mmvae.data.file_formats import TableStream, Types, open_stream
from mmvae.data.fingerprints import contents, forget, hashed
from mmvae.data.size_bounds import Bounds
from mmvae.data.stream_cache import CHUNK, check_columns, fitted, kept, mapped
from mmvae.data.written_cells import merged
from mmvae.foundations.errors import DataError
from mmvae.modalities.column_type import ColumnType

VERSION = 4
"""Version of the reading rules; files read by an earlier version are read again."""

KEPT = b"mmvae"
"""Key of the schema's metadata that holds types, remarks and refusals."""


@dataclass(frozen=True)
class Reading:
    """The result of reading some files.

    Attributes:
        table: A ``datasets.Dataset``, read from disk on demand.
        types: Column → the type as which it was read.
        remarks: Remarks for people, one sentence each.
        refused: Column that cannot be read, null in the table → the message if it is used.
    """

    table: Any
    types: Mapping[str, ColumnType]
    remarks: tuple[str, ...] = ()
    refused: Mapping[str, str] = field(default_factory=dict)


def read_table(
    files: Sequence[Path],
    types: Types | None = None,
    columns: Sequence[str] | None = None,
    items: int | None = None,
    bounds: Bounds | None = None,
) -> Reading:
    """Read files as one table.

    Args:
        files: Files with the same columns, in the order of their rows.
        types: How columns are read, as a run or ``[data.types]`` says; the others are
            inferred from all rows of the files.
        columns: Which columns to keep; all unless given.
        items: How many rows to take, the first; all unless given.
        bounds: How much the files and their cells may hold.

    Raises:
        DataError: A file is missing or malformed, has other columns than the first, holds a value
            that is not of its column's type, or more than it may; or there are no rows, or fewer
            than ``items``.
        TrainingError: The disk of the cache is full or cannot be written.
    """
    limits = None if items is None else {"train": items}
    return read_tables({"train": files}, types, columns, limits, bounds)["train"]


def read_tables(
    splits: Mapping[str, Sequence[Path]],
    types: Types | None = None,
    columns: Sequence[str] | None = None,
    limits: Mapping[str, int] | None = None,
    bounds: Bounds | None = None,
) -> dict[str, Reading]:
    """Read the files of several splits, each column by one type throughout.

    Args:
        splits: Split → its files.
        types: See :func:`read_table`.
        columns: See :func:`read_table`.
        limits: Split → how many rows to take.
        bounds: See :func:`read_table`.
    """
    known, limits, bounds = dict(types or {}), limits or {}, bounds or Bounds()
    files = [file for part in splits.values() for file in part]
    for file in files:
        bounds.check_file(file)
    streams = Streams(files, known, bounds)
    hashes = dict(zip(files, contents(files), strict=True))
    found = {}
    for name, part in splits.items():
        items = limits.get(name)
        fingerprint = known_by(hashes, part, known, columns, items)
        found[name] = kept_reading(fingerprint, part, streams, columns, items, hashes)
    return found


class Streams:
    """The streams of several files, opened on demand, with common types.

    Args:
        files: The files.
        types: How columns are read, as far as it is known.
        bounds: How much files and cells may hold.
    """

    def __init__(self, files: Sequence[Path], types: Types, bounds: Bounds) -> None:
        self.files, self.types, self.bounds = files, types, bounds
        self._opened: dict[Path, TableStream] | None = None

    def __call__(self) -> dict[Path, TableStream]:
        """File → its stream.

        Raises:
            DataError: Files differ in their columns.
        """
        if self._opened is None:
            self._opened = {f: open_stream(f, self.types, self.bounds) for f in self.files}
            self._agree(list(self._opened.values()))
        return self._opened

    def _agree(self, streams: Sequence[TableStream]) -> None:
        first = streams[0]
        for other in streams[1:]:
            if set(other.names) != set(first.names):
                apart = sorted(set(other.names) ^ set(first.names))
                raise DataError(
                    f"{first.path} and {other.path} differ in the column {apart[0]!r}; expected "
                    f"the same columns in all files of a table."
                )
            for name in first.names:
                if other.labels(name) != first.labels(name):
                    raise DataError(
                        f"{first.path} and {other.path}: the classes of column {name!r} have "
                        f"different names or another order. Expected the same in all files."
                    )
        for name in first.names:
            refused = [stream.refused[name] for stream in streams if name in stream.refused]
            for stream in streams if refused else ():
                stream.refused.setdefault(name, refused[0])
                stream.types[name] = ColumnType("other")
            if len({stream.types[name] for stream in streams}) > 1:
                self._settle(name, streams)

    def _settle(self, name: str, streams: Sequence[TableStream]) -> None:
        """Choose one type for a column for which files have several."""
        kind = merged([stream.types[name].kind for stream in streams])
        words = [stream.types[name].words for stream in streams]
        for stream in streams:
            of_words = None if None in words else frozenset().union(*filter(None, words))
            stream.types[name] = ColumnType(kind, of_words if kind == "text" else None)


def known_by(
    hashes: Mapping[Path, str],
    part: Sequence[Path],
    types: Types,
    columns: Sequence[str] | None,
    items: int | None,
) -> str:
    """A fingerprint of a reading: the contents of its files and of those that determine types."""
    known = sorted((name, kind.state()) for name, kind in types.items())
    own = [hashes[file] for file in part]
    wanted = repr((sorted(hashes.values()), own, known, columns, items))
    return hashlib.sha256(wanted.encode()).hexdigest()[:32]


def key_of(fingerprint: str, part: Sequence[Path]) -> str:
    """A cache key for files: how and where they are read, since remarks name them."""
    wanted = repr((VERSION, fingerprint, [str(file.absolute()) for file in part]))
    return hashlib.sha256(wanted.encode()).hexdigest()[:32]


def kept_reading(
    fingerprint: str,
    part: Sequence[Path],
    streams: Streams,
    columns: Sequence[str] | None,
    items: int | None,
    hashes: Mapping[Path, str],
) -> Reading:
    """A table of the cache with its types and remarks, written first if it does not exist."""
    import pyarrow as pa

    origin = ", ".join(map(str, part[:3])) + (", …" if len(part) > 3 else "")
    key = key_of(fingerprint, part)

    def read() -> Iterator[Any]:
        yield from tables(part, origin, streams(), columns, items)
        refuse_changed(hashes)

    file = kept(read, key, origin, items)
    with pa.memory_map(str(file)) as source:
        reading = json.loads(pa.ipc.open_stream(source).schema.metadata[KEPT])
    types = {name: ColumnType.of_state(state) for name, state in reading["types"].items()}
    return Reading(mapped(file, fingerprint), types, tuple(reading["remarks"]), reading["refused"])


def refuse_changed(hashes: Mapping[Path, str]) -> None:
    """Check that files have not changed since they were read.

    Modification times are not enough: the system updates them late for memory maps.

    Args:
        hashes: File → the hash of its content before.

    Raises:
        DataError: One changed.
    """
    for file, before in hashes.items():
        try:
            same = hashed(file) == before
        except OSError as error:
            raise DataError(f"{file}: cannot be read ({error.strerror}).") from None
        if not same:
            forget(file)
            raise DataError(
                f"{file} was changed while it was read, or its cached hash was wrong, so nothing "
                f"of it was kept. Repeat the command when it is whole."
            )


def tables(
    part: Sequence[Path],
    origin: str,
    streams: Mapping[Path, TableStream],
    columns: Sequence[str] | None,
    items: int | None,
) -> Iterator[Any]:
    """The rows of some files as Arrow tables, in the types of the first one.

    Raises:
        DataError: There are no rows, or a requested column does not exist.
    """
    import pyarrow as pa

    total = sum(streams[file].total for file in part)
    streams[part[0]].bounds.check_rows(total if items is None else min(items, total), origin)
    if not total:
        raise DataError(f"{origin}: no rows; expected at least one item.")
    first = streams[part[0]]
    check_columns(first.names, columns or (), origin)
    names = list(first.names if columns is None else columns)
    every = [first.schema(names), *(stream.schema(names) for stream in streams.values())]
    schema = pa.unify_schemas(every, promote_options="permissive")
    schema = schema.with_metadata(described(schema, part, streams))
    left = items
    for file in part:
        for rows in streams[file].chunks(CHUNK):
            taken = len(rows) if left is None else min(left, len(rows))
            arrays = [
                pa.nulls(taken)
                if name in streams[file].refused
                else rows.arrow(name).slice(0, taken)
                for name in names
            ]
            yield fitted(pa.table(arrays, names), schema, str(file))
            left = None if left is None else left - taken
            if left == 0:
                return


def described(schema: Any, part: Sequence[Path], streams: Mapping[Path, TableStream]) -> Any:
    """The metadata of a table: those of its files, and the reading."""
    reading = {
        "types": {name: found.state() for name, found in streams[part[0]].types.items()},
        "remarks": [remark for file in part for remark in streams[file].remarks],
        "refused": {name: why for file in part for name, why in streams[file].refused.items()},
    }
    return {**(schema.metadata or {}), KEPT: json.dumps(reading).encode()}

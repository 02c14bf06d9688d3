"""The stream cache: items that come in sequence, written once to a file for random access.

A training meets its items in a new order in each epoch; codecs, masks, splits and statistics read
them too. A file serves all of these as it does for any table, and the stream is read only once.
``docs/architecture.md`` gives the reasons against reading it in each epoch.
"""

from __future__ import annotations

import fcntl
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

from mmvae.data.file_formats.table_stream import first_line
from mmvae.data.fingerprints import cache_folder, content
from mmvae.foundations import staging, storage
from mmvae.foundations.errors import DataError, nearest
from mmvae.foundations.operations import reported

CHUNK = 1000
"""Number of items in memory at a time."""

PAUSE_S = 10.0
"""Seconds between two lines of progress."""


def cached_stream(
    stream: Any,
    key: str,
    origin: str,
    columns: Sequence[str] | None = None,
    items: int | None = None,
) -> Any:
    """The ``datasets.Dataset`` of a stream, over a file that stays in the cache of ``datasets``.

    Args:
        stream: A ``datasets.IterableDataset``, not yet read.
        key: Names the file. An existing, undamaged one is used as it is, and nothing is read.
            Of several processes one writes it, while the others wait.
        origin: Name of the stream in messages.
        columns: Columns to keep; default: all.
        items: Number of items to take; default: all.

    Raises:
        DataError: As :func:`write`.
        TrainingError: The disk is full, or the cache cannot be written.
    """
    return mapped(kept(lambda: chunks(stream, origin, columns, items), key, origin, items), key)


def kept(
    tables: Callable[[], Iterable[Any]], key: str, origin: str, items: int | None = None
) -> Path:
    """The file of the cache that holds some Arrow tables, written first if it does not exist.

    Args:
        tables: Gives the tables; called only if they have to be written.
        key: See :func:`cached_stream`.
        origin: See :func:`cached_stream`.
        items: The expected number of items; default: any.

    Raises:
        DataError: As :func:`write`.
        TrainingError: The disk is full, or the cache cannot be written.
    """
    file = place(key)
    storage.make_folder(file.parent)
    with alone(file):
        if not whole(file):
            staging.clean(file.parent, file.name)
            with staging.staged_file(file, remedy=remedy(file)) as hidden:
                write(tables(), hidden, origin, items)
                storage.write_text(checksum(file), content(hidden), remedy=remedy(file))
    return file


def whole(file: Path) -> bool:
    """True if a file of the cache is as it was written; one that may not be is removed."""
    if not file.exists():
        return False
    try:
        if storage.read(checksum(file)).decode("utf-8", "replace") == content(file):
            return True
    except (OSError, DataError):  # no checksum, or it or the file cannot be read
        pass
    why = "is damaged" if checksum(file).exists() else "lacks its checksum"
    print(f"{file} {why}, and is created again", file=sys.stderr, flush=True)
    if file.is_dir() and not file.is_symlink():
        storage.remove_folder(file, remedy=remedy(file))
        return False
    file.unlink()
    return False


def checksum(file: Path) -> Path:
    """The file with the hash of a file of the cache."""
    return file.with_suffix(".sum")


def passing(stream: Any, origin: str) -> Any:
    """The ``datasets.Dataset`` of a stream without a name, over a private file.

    Raises:
        DataError: As :func:`write`.
        TrainingError: The disk is full, or the cache cannot be written.
    """
    file = place("passing")
    storage.make_folder(file.parent)
    with staging.passing_file(file, remedy=remedy(file)) as hidden:
        write(chunks(stream, origin), hidden, origin)
        return mapped(hidden)  # a mapped file stays readable until the process unmaps it


def place(key: str) -> Path:
    """The path of the file of this name."""
    return cache_folder("mmvae-streams") / f"{key}.arrow"


def remedy(file: Path) -> str:
    """Advice if the disk cannot hold the cache of a stream."""
    return (
        f"choose another disk for {file.parent} with HF_DATASETS_CACHE, or take less of the "
        f"stream (data.columns, data.items)."
    )


@contextmanager
def alone(file: Path) -> Iterator[None]:
    """Wait until no other process writes ``file``, and make others wait."""
    lock = file.with_suffix(".lock")
    with reported(lock):  # a link or a pipe, which someone else may have put there, is refused
        descriptor = storage.open_own(lock, os.O_RDWR | os.O_CREAT)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)  # the system frees it, however the process ends
        yield
    finally:
        os.close(descriptor)


def mapped(file: Path, fingerprint: str | None = None) -> Any:
    """The ``datasets.Dataset`` over an Arrow file, read on demand."""
    import datasets

    found = datasets.Dataset.from_file(str(file))
    if fingerprint is not None:
        found._fingerprint = fingerprint  # else it depends on the modification time
    return found


def write(tables: Iterable[Any], file: Path, origin: str, items: int | None = None) -> None:
    """Write Arrow tables to a file, one at a time; progress goes to standard error.

    Raises:
        DataError: The stream has no items or fewer than ``items``, breaks off, lacks requested
            columns, or changes in its columns or types.
    """
    import pyarrow as pa

    done, began, said = 0, time.monotonic(), time.monotonic()
    schema = writer = None
    with ExitStack() as stack:
        sink = stack.enter_context(pa.OSFile(str(file), "wb"))
        for table in tables:
            if writer is None:
                schema = table.schema
                writer = stack.enter_context(pa.ipc.new_stream(sink, schema))
            where = f"{origin}, items {done} to {done + len(table) - 1}"
            writer.write_table(fitted(table, schema, where))
            done, now = done + len(table), time.monotonic()
            if now - said >= PAUSE_S:
                said = now
                print(reached(origin, done, items, now - began), file=sys.stderr, flush=True)
    if done < (items or 1):
        expected = "expected one at least" if items is None else f"but data.items = {items}"
        raise DataError(
            f"{origin}: the stream ended after {done} items, {expected}. Check why the others "
            f"are missing{f', or set data.items = {done}' if done else ''}."
        )


def reached(origin: str, done: int, items: int | None, seconds: float) -> str:
    """A line of progress: items read, speed, and time left."""
    rate = done / seconds
    if items is None:
        return f"reading {origin}: {done:,} items, {rate:,.0f}/s"
    left = timedelta(seconds=round((items - done) / rate))
    return f"reading {origin}: {done:,}/{items:,} items, {rate:,.0f}/s, {left} left"


def chunks(
    stream: Any, origin: str, columns: Sequence[str] | None = None, items: int | None = None
) -> Iterator[Any]:
    """The items of a stream as Arrow tables; pictures and sounds stay encoded.

    Raises:
        DataError: It breaks off, or its first items lack requested columns.
    """
    done = 0
    try:
        for table in tables(stream if items is None else stream.take(items)):
            if done == 0:
                check_columns(table.column_names, columns or (), origin)
            if columns is not None:
                table = table.select([name for name in columns if name in table.column_names])
            yield table
            done += len(table)
    except DataError:
        raise
    except Exception as error:  # of any kind: of the network, the file or the user's own code
        said = " ".join(str(error).split())[:300] or type(error).__name__
        raise DataError(
            f"{origin}: the stream ended early, after at least {done} items ({said}). Nothing was "
            f"kept: repair it, then repeat the command."
        ) from error


def tables(stream: Any) -> Iterator[Any]:
    """The items of a stream as Arrow tables of at most :data:`CHUNK` items."""
    import datasets

    if stream.features is not None:
        yield from stream.with_format("arrow").iter(CHUNK)
        return
    for rows in stream.iter(CHUNK):  # one item does not determine the type of a missing value
        yield datasets.Dataset.from_dict(rows).with_format("arrow")[:]


def check_columns(there: Sequence[str], wanted: Sequence[str], origin: str) -> None:
    """Check that the requested columns exist.

    Raises:
        DataError: A column does not exist.
    """
    for name in wanted:
        if name not in there:
            raise DataError(
                f"data.columns: {origin} has no column {name!r}, but "
                f"{', '.join(there)}.{nearest(name, there)}"
            )


def fitted(table: Any, schema: Any, where: str) -> Any:
    """A chunk in the columns and types of the first one; missing columns are null.

    Raises:
        DataError: It has more columns, or types whose conversion would lose information.
    """
    import pyarrow as pa

    for name in table.column_names:
        if name not in schema.names:
            raise DataError(
                f"{where}, have the column {name!r}, which the first {CHUNK} items lack. Expected "
                f"the same columns: add it to the first items (as None), or name those that you "
                f"need with data.columns."
            )
    columns = []
    for field in schema:
        if field.name not in table.column_names:
            columns.append(pa.nulls(len(table), field.type))
            continue
        found = table.column(field.name)
        try:
            columns.append(found.cast(field.type))
        except pa.ArrowException as error:
            raise DataError(
                f"{where}, column {field.name!r}: {found.type} where the items before have "
                f"{field.type}, and a value does not fit ({first_line(error)}). Expected one "
                f"type: declare it (features= in datasets), or leave the column out with "
                f"data.columns."
            ) from error
    return pa.Table.from_arrays(columns, schema=schema)

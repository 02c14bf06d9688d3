"""Tables that commands write: Parquet, CSV, JSON lines or NumPy arrays, written atomically."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mmvae.data.file_formats.csv_cells import cell_of
from mmvae.data.file_formats.csv_table import written
from mmvae.data.file_formats.json_edit import json_text
from mmvae.foundations import storage
from mmvae.foundations.errors import DataError, TrainingError, UsageError, short
from mmvae.foundations.printable import is_unicode

Array = np.ndarray[Any, Any]


def check_output(path: Path, option: str = "--out") -> None:
    """Refuse an output path that no table can be written to, before the work is done.

    Raises:
        UsageError: The ending is unknown, the folder does not exist, or ``path`` is a folder.
    """
    if path.suffix.lower() not in WRITERS:
        raise UsageError(
            f"{option} {path}: unknown ending {path.suffix!r}, expected one of "
            f"{', '.join(WRITERS)}."
        )
    if not path.parent.is_dir():
        raise UsageError(f"{option} {path}: there is no folder {path.parent}; make it first.")
    if path.is_dir():
        raise UsageError(f"{option} {path} is a folder; expected the name of a file.")


def write_table(path: Path, columns: Mapping[str, Any], spread: bool = False) -> None:
    """Write columns of equal length; the file's ending chooses the format.

    Args:
        path: ``.parquet``, ``.csv``, ``.jsonl`` or ``.npz``; an older file is replaced atomically.
        columns: Name → n numbers, booleans or strings, or an array (n, …), which is a column of
            lists: in CSV of JSON arrays, and in ``.npz`` an array.
        spread: Write an array (n, …) as the columns ``name_000``, ``name_001``, … of a table.

    Raises:
        UsageError: As :func:`check_output`.
        DataError: The format cannot distinguish two values.
        TrainingError: A number is not finite, or the system refused to write; an older file is
            unchanged.
    """
    check_output(path)
    found = {name: plain(values) for name, values in columns.items()}
    for name, values in found.items():
        _require_finite(path, name, np.asarray(values))
    if spread and path.suffix.lower() != ".npz":
        found = flat(found)
    storage.write_bytes(path, WRITERS[path.suffix.lower()](found, str(path)))


def flat(columns: Mapping[str, Any]) -> dict[str, Any]:
    """Columns of one value per row: arrays (n, …) become ``name_000``, ``name_001`` and so on."""
    found: dict[str, Any] = {}
    for name, values in columns.items():
        if not isinstance(values, np.ndarray) or values.ndim == 1:
            found[name] = values
            continue
        cells = values.reshape(len(values), -1)
        width = max(3, len(str(cells.shape[1] - 1)))
        found |= {f"{name}_{i:0{width}d}": cells[:, i] for i in range(cells.shape[1])}
    return found


def plain(values: Any) -> Array | list[Any]:
    """An array of numbers or booleans, or a list of one type; mixed ids become texts."""
    if hasattr(values, "detach"):
        values = values.detach().cpu().numpy()
    if isinstance(values, np.ndarray) and values.dtype.kind in "biuf":
        return values
    found = values.tolist() if isinstance(values, np.ndarray) else list(values)
    if all(isinstance(value, str) for value in found):
        return found
    array = np.asarray(found, object if mixed(found) else None)
    return [str(value) for value in found] if array.dtype == object else array


def _require_finite(path: Path, name: str, array: Array) -> None:
    """Check, just before writing, that nothing is NaN or infinite."""
    if array.dtype.kind != "f":
        return
    wrong = ~np.isfinite(array.reshape(len(array), -1))
    rows = np.flatnonzero(wrong.any(1))
    if len(rows):
        value = array.reshape(len(array), -1)[rows[0]][wrong[rows[0]]][0]
        raise TrainingError(
            f"{path}: column {name!r} of row {rows[0]} would be {value}, expected finite numbers; "
            f"so it is for {len(rows)} of {len(array)} rows. The model overflows there: look for "
            f"extreme values with `mmvae data check`. Nothing is written."
        )


def mixed(values: Sequence[Any]) -> bool:
    """True if there are texts or booleans among other values."""
    kinds = {type(value) for value in values}
    return len(kinds) > 1 and bool(kinds & {str, bool, type(None)})


def _parquet(columns: Mapping[str, Any], where: str) -> bytes:
    import pyarrow
    import pyarrow.parquet

    check_unicode(columns, where)
    table = pyarrow.table({name: _arrow(values, where) for name, values in columns.items()})
    buffer = io.BytesIO()
    pyarrow.parquet.write_table(table, buffer)
    return buffer.getvalue()


def _arrow(values: Array | list[Any], where: str) -> Any:
    import pyarrow

    if isinstance(values, list):
        check_unicode(values, where)
        return pyarrow.array(values, pyarrow.string())
    kind = pyarrow.from_numpy_dtype(values.dtype)
    for _ in range(values.ndim - 1):
        kind = pyarrow.list_(kind)
    return pyarrow.array(values if values.ndim == 1 else values.tolist(), kind)


def _csv(columns: Mapping[str, Any], where: str) -> bytes:
    lines = [[cell_of(name, ",") if name else '""' for name in columns]]
    lines += [
        [written(value, ",", f"{where}, column {name!r}") for name, value in row.items()]
        for row in _rows(columns)
    ]
    for line in lines:
        check_unicode(line, where)
    return "".join(",".join(line) + "\n" for line in lines).encode()


def check_unicode(values: Iterable[Any], where: str) -> None:
    """Check that texts among some values can be written.

    Raises:
        DataError: One holds half a character.
    """
    for value in values:
        if isinstance(value, str) and not is_unicode(value):
            raise DataError(
                f"{where}: {short(value)} is no valid Unicode (half a character), which such a "
                f"file cannot hold. Correct the text where it comes from, or write .jsonl."
            )


def _jsonl(columns: Mapping[str, Any], where: str) -> bytes:
    return "".join(json_text(row) + "\n" for row in _rows(columns)).encode()


def _npz(columns: Mapping[str, Any], where: str) -> bytes:
    check_unicode(columns, where)
    buffer = io.BytesIO()
    arrays: dict[str, Any] = {name: np.asarray(values) for name, values in columns.items()}
    np.savez(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()


def _rows(columns: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    lists = [v.tolist() if isinstance(v, np.ndarray) else v for v in columns.values()]
    return (dict(zip(columns, row, strict=True)) for row in zip(*lists, strict=True))


WRITERS: dict[str, Callable[[Mapping[str, Any], str], bytes]] = {
    ".parquet": _parquet,
    ".csv": _csv,
    ".jsonl": _jsonl,
    ".npz": _npz,
}
"""The writer of each ending."""

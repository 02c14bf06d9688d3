"""Tables that commands write: Parquet, CSV, JSON lines or NumPy arrays, whole or not at all."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mmvae import storage
from mmvae.errors import TrainingError, UsageError

Array = np.ndarray[Any, Any]


def check_output(path: Path, option: str = "--out") -> None:
    """Refuse a place that no table can be written to, before the work that fills it is done.

    Raises:
        UsageError: The ending is unknown, the folder does not exist, or ``path`` is a folder.
    """
    if path.suffix not in WRITERS:
        raise UsageError(
            f"{option} {path}: unknown ending {path.suffix!r}, expected one of "
            f"{', '.join(WRITERS)}."
        )
    if not path.parent.is_dir():
        raise UsageError(f"{option} {path}: there is no folder {path.parent}; make it first.")
    if path.is_dir():
        raise UsageError(f"{option} {path} is a folder; expected the name of a file.")


def write_table(path: Path, columns: Mapping[str, Any]) -> None:
    """Write columns of equal length; the file's ending chooses the format.

    Args:
        path: ``.parquet``, ``.csv``, ``.jsonl`` or ``.npz``; an older file is replaced at once.
        columns: Name → n numbers or strings, or an array (n, …), which becomes the columns
            ``name_000``, ``name_001``, … of a table, and stays whole in ``.npz``.

    Raises:
        UsageError: As :func:`check_output`.
        TrainingError: A number is not finite, or the system refused to write; an older file is as
            it was.
    """
    check_output(path)
    arrays = {name: _array(values) for name, values in columns.items()}
    for name, array in arrays.items():
        _require_finite(path, name, array)
    storage.write_bytes(path, WRITERS[path.suffix](arrays))


def flat(columns: Mapping[str, Array]) -> dict[str, Array]:
    """Columns of one value per row: arrays (n, …) become ``name_000``, ``name_001`` and so on."""
    found: dict[str, Array] = {}
    for name, values in columns.items():
        if values.ndim == 1:
            found[name] = values
            continue
        cells = values.reshape(len(values), -1)
        width = max(3, len(str(cells.shape[1] - 1)))
        found |= {f"{name}_{i:0{width}d}": cells[:, i] for i in range(cells.shape[1])}
    return found


def _array(values: Any) -> Array:
    """An array of numbers or of strings; never of objects, which only pickle could write."""
    if hasattr(values, "detach"):
        values = values.detach().cpu().numpy()
    array = np.asarray(values)
    return array.astype(str) if array.dtype == object else array


def _require_finite(path: Path, name: str, array: Array) -> None:
    """The last look at what is written: nothing that a model gives is NaN or infinite."""
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


def _parquet(columns: Mapping[str, Array]) -> bytes:
    import pyarrow
    import pyarrow.parquet

    buffer = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.table(dict(flat(columns))), buffer)
    return buffer.getvalue()


def _csv(columns: Mapping[str, Array]) -> bytes:
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, lineterminator="\n")
    names, rows = _rows(columns)
    writer.writerow(names)
    writer.writerows(rows)
    return buffer.getvalue().encode()


def _jsonl(columns: Mapping[str, Array]) -> bytes:
    names, rows = _rows(columns)
    lines = (
        json.dumps(dict(zip(names, row, strict=True)), ensure_ascii=False, allow_nan=False)
        for row in rows
    )
    return "".join(line + "\n" for line in lines).encode()


def _npz(columns: Mapping[str, Array]) -> bytes:
    buffer = io.BytesIO()
    arrays: dict[str, Any] = dict(columns)
    np.savez(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()


def _rows(columns: Mapping[str, Array]) -> tuple[list[str], list[Sequence[Any]]]:
    spread = flat(columns)
    return list(spread), list(zip(*(values.tolist() for values in spread.values()), strict=True))


WRITERS: dict[str, Callable[[Mapping[str, Array]], bytes]] = {
    ".parquet": _parquet,
    ".csv": _csv,
    ".jsonl": _jsonl,
    ".npz": _npz,
}
"""What writes each ending."""

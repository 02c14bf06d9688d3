"""``metrics.jsonl``: what was measured, one JSON object a line, cut back exactly at a resume."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmvae import storage
from mmvae.errors import RunError

_NON_FINITE = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


class MetricsLog:
    """``metrics.jsonl``: one JSON object a line, in the order in which they happened.

    JSON has no NaN or infinity: they are written as the strings ``"NaN"``, ``"Infinity"`` and
    ``"-Infinity"``, and `read_metrics` turns these back.

    Args:
        path: The file; made if it does not exist. A torn last line is cut off.
    """

    def __init__(self, path: Path) -> None:
        self._journal = storage.Journal(path)

    @property
    def offset(self) -> int:
        """Bytes written so far; a checkpoint stores it after `flush`."""
        return self._journal.offset

    def append(self, record: Mapping[str, Any]) -> None:
        """Add a record; it survives this process at once and a power cut after `flush`."""
        line = json.dumps(_as_json(record), ensure_ascii=False, allow_nan=False)
        self._journal.append(line.encode() + b"\n")

    def flush(self) -> None:
        """Make what was added durable."""
        self._journal.flush()

    def truncate(self, offset: int) -> None:
        """Forget what was written after a checkpoint, before the run goes on from it.

        Raises:
            RunError: No line ends at ``offset``: it is not the file that the checkpoint knew.
        """
        try:
            self._journal.truncate(offset)
        except ValueError as error:
            raise RunError(
                f"The checkpoint knows {offset} bytes of {self._journal.path}, which has "
                f"{self.offset}, or other lines. Restore that file, or train a new run with "
                "--init-from this one."
            ) from error

    def close(self) -> None:
        """Close the file."""
        self._journal.close()

    def __enter__(self) -> MetricsLog:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """Return the records of ``metrics.jsonl``; a torn last line, of a killed process, is left out.

    Raises:
        RunError: The file is missing, or a whole line is no JSON object.
    """
    try:
        lines = path.read_bytes().split(b"\n")[:-1]
    except OSError as error:
        raise RunError(f"{path} cannot be read: {error.strerror}.") from error
    return [_record(path, number, line) for number, line in enumerate(lines, 1)]


def _record(path: Path, number: int, line: bytes) -> dict[str, Any]:
    try:
        record = _from_json(json.loads(line))
        if not isinstance(record, dict):
            raise ValueError("expected an object")
    except (ValueError, RecursionError) as error:
        raise RunError(
            f"{path}, line {number} is damaged: {error}. Remove that line to read the others."
        ) from error
    return record


def _as_json(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, Mapping):
        return {key: _as_json(item) for key, item in value.items()}
    return [_as_json(item) for item in value] if isinstance(value, list | tuple) else value


def _from_json(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _from_json(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_from_json(item) for item in value]
    return _NON_FINITE.get(value, value) if isinstance(value, str) else value

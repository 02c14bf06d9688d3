"""``metrics.jsonl``: one JSON object per line and measurement, truncated exactly at a resume.

A checkpoint records the number of bytes up to its step, and their SHA-256, so that a resume
continues after exactly the lines that the checkpoint recorded.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from mmvae.foundations import storage
from mmvae.foundations.errors import RunError
from mmvae.foundations.journal import Journal
from mmvae.foundations.json_document import check_parts, problem_of

MOST = 1 << 28
"""Maximum size in bytes of a ``metrics.jsonl`` that is read as a whole."""

MOST_PARTS = 1 << 22
"""Maximum number of JSON objects and lists in it: two in each record, if it has errors."""

_CHUNK = 1 << 22
_NON_FINITE = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


class MetricsLog:
    """``metrics.jsonl``: one JSON object per line, in order of time.

    JSON has no NaN or infinity: they are written as the strings ``"NaN"``, ``"Infinity"`` and
    ``"-Infinity"``, and `read_metrics` converts these back.

    Args:
        path: The file; created if it does not exist. An incomplete last line is cut off.
    """

    def __init__(self, path: Path) -> None:
        self._journal = Journal(path)
        self._digest = _digest(self._journal.chunks(self.offset))

    @property
    def sha256(self) -> str:
        """SHA-256 of the bytes written so far; a checkpoint stores it beside `offset`."""
        return self._digest.copy().hexdigest()

    @property
    def offset(self) -> int:
        """Bytes written so far; a checkpoint stores it after `flush`."""
        return self._journal.offset

    def append(self, record: Mapping[str, Any]) -> None:
        """Add a record; it survives this process at once, and a power cut after `flush`."""
        line = json.dumps(_as_json(record), ensure_ascii=False, allow_nan=False).encode() + b"\n"
        self._journal.append(line)
        self._digest.update(line)

    def repair(self) -> str | None:
        """Repair the file of the records, so that a resume finds them.

        A file that was removed, moved or replaced is written again. If it was changed, its present
        content becomes the records.

        Raises:
            TrainingError: The system refused.
        """
        path, size = self._journal.path, self.offset
        said = None
        if _digest(self._journal.chunks(size)).digest() != self._digest.digest():
            self._journal.adopt_content()
            self._digest = _digest(self._journal.chunks(self.offset))
            said = f"{path} was changed while this process trained: {size} bytes were written, "
            said += f"and it continues with the {self.offset} bytes that are there"
        if self._journal.is_lost():
            self._journal.put_back()
            said = f"{path} was removed or replaced while this process trained; written again"
        return said

    def flush(self) -> None:
        """Make added records durable."""
        self._journal.flush()

    def truncate(self, offset: int) -> None:
        """Discard what was written after a checkpoint, before the run resumes from it.

        Raises:
            RunError: No line ends at ``offset``: the file is not the one that the checkpoint
                recorded.
        """
        try:
            self._journal.truncate(offset)
        except ValueError as error:
            raise _other_lines(self._journal.path, offset, self.offset) from error
        self._digest = _digest(self._journal.chunks(offset))

    def close(self) -> None:
        """Close the file."""
        self._journal.close()

    def __enter__(self) -> MetricsLog:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def check_prefix(path: Path, offset: int, sha256: str | None) -> None:
    """Check that a file begins with the lines that a checkpoint recorded.

    Args:
        path: ``metrics.jsonl``.
        offset: Number of bytes that the checkpoint recorded.
        sha256: Their SHA-256; None if its version recorded none, and then any lines are accepted.

    Raises:
        RunError: They are missing, or differ.
    """
    if offset == 0:
        return
    try:
        with open(storage.open_regular(path), "rb") as file:
            size = os.fstat(file.fileno()).st_size
            starts = range(0, min(offset, size), _CHUNK)
            digest = _digest(file.read(min(_CHUNK, offset - start)) for start in starts)
    except OSError as error:
        raise RunError(f"{path} cannot be read: {error.strerror}. Restore that file.") from error
    if size < offset or sha256 not in (None, digest.hexdigest()):
        raise _other_lines(path, offset, size)


def _digest(parts: Iterable[bytes]) -> hashlib._Hash:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest


def _other_lines(path: Path, known: int, size: int) -> RunError:
    return RunError(
        f"The checkpoint knows {known} bytes of {path}, which has {size}, or other lines. Restore "
        f"that file, or train a new run with --init-from this one."
    )


_LARGEST = 2**63 - 1

Number = Annotated[int, Field(ge=-_LARGEST, le=_LARGEST)] | float


def _not_negative(error: float) -> float:
    if error < 0:  # NaN is not
        raise ValueError("expected no standard error below 0")
    return error


class _Record(BaseModel):
    """The common keys of every record, beside its measurements."""

    model_config = ConfigDict(extra="allow", strict=True)

    step: int = Field(ge=0, le=_LARGEST)
    epoch: int = Field(ge=0, le=_LARGEST)
    split: str
    errors: dict[str, Annotated[Number, AfterValidator(_not_negative)] | None] = {}
    __pydantic_extra__: dict[str, Number]


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """Return the records of ``metrics.jsonl``, without an incomplete last line.

    Raises:
        RunError: The file is missing, or a complete line is not a record.
    """
    try:
        data = storage.read(path, MOST)
        check_parts(data, MOST_PARTS)
    except OSError as error:
        raise RunError(f"{path} cannot be read: {error.strerror}.") from error
    except ValueError as error:
        raise RunError(f"{path} cannot be read: {error}. Restore that file.") from error
    lines = data.split(b"\n")[:-1]
    return [_record(path, number, line) for number, line in enumerate(lines, 1)]


def read_training(path: Path) -> list[dict[str, Any]]:
    """Return the records of a training: numbers, with step, epoch and split; see `read_metrics`.

    Raises:
        RunError: As there; or a line has something else, or a step that is not after the one of
            the line before it of the same split.
    """
    records = read_metrics(path)
    last: dict[str, int] = {}
    for number, record in enumerate(records, 1):
        try:
            _Record.model_validate(record)
            split, step = record["split"], record["step"]
            if step <= last.get(split, 0):
                raise ValueError(f"step: {step}, expected more than {last.get(split, 0)}")
            last[split] = step
        except ValueError as error:
            raise RunError(
                f"{path}, line {number} is damaged: {problem_of(error)}. Remove that line to "
                f"read the others."
            ) from error
    return records


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

"""Journal: a file that grows by whole lines."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from mmvae.foundations import operations
from mmvae.foundations.operations import CHUNK, fsync, reported, write
from mmvae.foundations.staging import staged_file
from mmvae.foundations.storage import open_own


class Journal:
    """A file that grows by whole lines.

    Opening cuts a torn last line off, the rest of a killed process. An append that fails leaves
    the file as it was.

    Args:
        path: The file; made if it does not exist.

    Raises:
        TrainingError: The system refused, here and in every method.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with reported(path):
            new = not os.path.lexists(path)
            operations.fault("open", path)
            self._descriptor = open_own(path, os.O_RDWR | os.O_CREAT | os.O_APPEND)
            if new:
                fsync(path.parent)
            size, self.offset = os.fstat(self._descriptor).st_size, self._whole_lines()
            if self.offset < size:
                self._cut(self.offset)

    def append(self, line: bytes) -> None:
        """Add one line, newline included."""
        with reported(self.path):
            try:
                write(self._descriptor, self.path, line)
            except BaseException:
                with contextlib.suppress(OSError):  # the next opening cuts the torn line off
                    self._cut(self.offset)
                raise
            self.offset += len(line)

    def is_lost(self) -> bool:
        """True if the file was removed, moved or replaced meanwhile."""
        try:
            there = os.stat(self.path, follow_symlinks=False)
        except OSError:
            return True
        return not os.path.samestat(there, os.fstat(self._descriptor))

    def put_back(self) -> None:
        """Write the file's content to its place, durably, and continue there."""
        with staged_file(self.path) as hidden, hidden.open("wb") as file:
            for part in self.chunks(self.offset):
                file.write(part)
        with reported(self.path):
            descriptor = open_own(self.path, os.O_RDWR | os.O_APPEND)
        os.close(self._descriptor)
        self._descriptor = descriptor

    def adopt_content(self) -> None:
        """Continue after the lines of the file, if others changed it."""
        with reported(self.path):
            self._cut(self._whole_lines())

    def flush(self) -> None:
        """Make everything appended so far durable."""
        with reported(self.path):
            operations.fault("fsync", self.path)
            os.fsync(self._descriptor)

    def truncate(self, offset: int) -> None:
        """Forget everything after the first ``offset`` bytes; ValueError if no line ends there."""
        inside = 0 <= offset <= self.offset
        if not inside or (offset > 0 and os.pread(self._descriptor, 1, offset - 1) != b"\n"):
            raise ValueError(f"no line of {self.path} ends at byte {offset}")
        with reported(self.path):
            self._cut(offset)

    def chunks(self, size: int) -> Iterator[bytes]:
        """The first ``size`` bytes, in parts."""
        for start in range(0, size, CHUNK):
            yield os.pread(self._descriptor, min(CHUNK, size - start), start)

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)

    def _cut(self, offset: int) -> None:
        operations.fault("truncate", self.path)
        os.ftruncate(self._descriptor, offset)
        self.offset = offset

    def _whole_lines(self) -> int:
        end = os.fstat(self._descriptor).st_size
        while end > 0:
            start = max(0, end - CHUNK)
            newline = os.pread(self._descriptor, end - start, start).rfind(b"\n")
            if newline >= 0:
                return start + newline + 1
            end = start
        return 0

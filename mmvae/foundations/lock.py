"""The lock of a folder: one process at a time; the system frees it however that process ends."""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import time
import weakref
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from mmvae.foundations import storage
from mmvae.foundations.errors import RunError
from mmvae.foundations.operations import reported

LOCK = ".lock"
_PATIENCE = 0.2
_LONGEST_NOTE = 1 << 10


class FolderLock:
    """The right to work in a folder, held by at most one process.

    Args:
        folder: The folder.
        name: The file in it that holds the lock, and pid and host of the holder.
    """

    def __init__(self, folder: Path, name: str = LOCK) -> None:
        self.path = folder / name
        self._descriptor: int | None = None
        self._depth = 0
        _locks.add(self)

    @contextlib.contextmanager
    def held(self) -> Iterator[bool]:
        """Hold the lock, and yield True if this is the outermost entry of this object.

        Raises:
            RunError: Another process, named by pid and host, holds it.
            TrainingError: The system refused.
        """
        outermost = self._depth == 0
        if outermost:
            self._descriptor = _acquire(self.path)
        self._depth += 1
        try:
            yield outermost
        finally:
            self._depth = max(0, self._depth - 1)  # already 0 in a child forked in the block
            if self._depth == 0:
                self._close()

    def is_held(self) -> bool:
        """True if any process, including this one, holds the lock."""
        try:
            descriptor = storage.open_regular(self.path)
        except OSError:  # there is none, or something that `held` refuses
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(descriptor)
        return False

    def holder(self) -> str:
        """The process that last held the lock, by pid and host, as its file says."""
        try:
            note = storage.read(self.path, _LONGEST_NOTE)
        except OSError:
            note = b""
        return _named(note)

    def is_lost(self) -> bool:
        """True if the lock's file is no longer the locked one: its folder was removed or moved."""
        if self._descriptor is None:
            return False
        try:
            there = os.stat(self.path)
        except OSError:
            return True
        return not os.path.samestat(there, os.fstat(self._descriptor))

    def forget(self) -> None:
        """Stop holding the lock in a forked child; its parent still holds it."""
        self._depth = 0
        self._close()

    def _close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


_locks: weakref.WeakSet[FolderLock] = weakref.WeakSet()


def _forget_all() -> None:
    for lock in _locks:
        lock.forget()


# A forked child (a data worker) must neither free its parent's lock nor keep it when the parent
# is killed: closing the inherited file does neither.
os.register_at_fork(after_in_child=_forget_all)


def _acquire(path: Path) -> int:
    with reported(path):
        descriptor = storage.open_own(path, os.O_RDWR | os.O_CREAT)
        try:
            _flock(descriptor, path)
            os.ftruncate(descriptor, 0)
            now = datetime.now(UTC).isoformat(timespec="seconds")
            holder = f"pid {os.getpid()} on {socket.gethostname()} since {now}"
            os.pwrite(descriptor, holder.encode(), 0)
        except BaseException:
            os.close(descriptor)
            raise
    return descriptor


def _flock(descriptor: int, path: Path) -> None:
    """Lock, and retry for a while: another process may be checking the lock."""
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                holder = _named(os.pread(descriptor, _LONGEST_NOTE, 0))
                raise RunError(
                    f"{path.parent} is in use by {holder}. Wait until it ends, or stop it."
                ) from None
        time.sleep(0.02)


def _named(note: bytes) -> str:
    """The holder as the lock's file names it."""
    return note.decode(errors="replace") or "another process"

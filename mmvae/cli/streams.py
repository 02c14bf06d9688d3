"""The standard streams of the process: open, able to hold any text, never causing a traceback."""

from __future__ import annotations

import errno
import io
import os
import select
import stat
import sys
import time
from collections.abc import Callable
from typing import Any, NoReturn, Protocol

from mmvae.foundations.errors import OutputError
from mmvae.foundations.signals import asked_to_end

PATIENCE_S = 2.0
"""Seconds that a stream whose reader has stalled is waited for, once a signal came."""


class Awaited(io.FileIO):
    """A pipe or a terminal that is written when it has room.

    A reader that has stalled is waited for, as without this class. But after a signal that asked
    the process to end, it is not waited for long: the system's call could not be left then.

    Args:
        given: The stream of bytes in whose place it writes, kept so that it is not closed.
        whole: True to write all bytes in one call; otherwise a buffer calls again for the rest.
    """

    def __init__(self, given: Any, whole: bool = False) -> None:
        super().__init__(given.fileno(), "w", closefd=False)
        self._given, self._whole, self._room = given, whole, select.poll()
        self._room.register(self, select.POLLOUT)

    def write(self, data: Any, /) -> int:
        """Write bytes; return how many."""
        rest, done = memoryview(data).cast("B"), 0
        while done < len(rest) and (self._whole or not done):
            self._await_room()
            done += os.write(self.fileno(), rest[done : done + select.PIPE_BUF])
        return done

    def _await_room(self) -> None:
        """Wait until a write does not block.

        Raises:
            OSError: A signal came, and nobody reads.
        """
        end = None
        while not self._room.poll(100):
            if asked_to_end():
                end = end or time.monotonic() + PATIENCE_S
                if time.monotonic() > end:
                    raise OSError(errno.EAGAIN, "its reader has stalled")


class Results(io.TextIOWrapper):
    """Standard output. The first write that the system refuses raises `OutputError`."""

    def write(self, text: str) -> int:
        """Write text; characters that the encoding lacks are escaped."""
        try:
            return super().write(text)
        except OSError as error:
            self.refuse(error)

    def flush(self) -> None:
        """Pass on what was written."""
        try:
            super().flush()
        except OSError as error:
            self.refuse(error)

    @property
    def buffer(self) -> Bytes:  # type: ignore[override]  # which writes as this stream does
        """The stream for bytes, as shell completion writes them."""
        return Bytes(super().buffer, self.refuse)

    def refuse(self, error: OSError) -> NoReturn:
        """Discard later writes, and raise the error for the user."""
        silence(self.fileno())
        raise OutputError(
            f"standard output cannot be written: {error.strerror or error}. What was printed is "
            f"not complete."
        ) from error


class Remarks(io.TextIOWrapper):
    """Standard error. A write that the system refuses is dropped: no remark may end a command."""

    def write(self, text: str) -> int:
        """Write text; characters that the encoding lacks are escaped."""
        try:
            return super().write(text)
        except OSError:
            silence(self.fileno())
        return len(text)

    def flush(self) -> None:
        """Pass on what was written."""
        try:
            super().flush()
        except OSError:
            silence(self.fileno())

    @property
    def buffer(self) -> Bytes:  # type: ignore[override]  # which writes as this stream does
        """The stream for bytes."""
        return Bytes(super().buffer, lambda _: silence(self.fileno()))


class Sink(Protocol):
    """A stream that takes bytes."""

    def write(self, b: Any, /) -> object:
        """Take bytes."""

    def flush(self) -> object:
        """Pass on what was written."""


class Bytes:
    """The bytes of a standard stream.

    Args:
        raw: Where they are written.
        refuse: Called with the error if the system refuses a write.
    """

    def __init__(self, raw: Sink, refuse: Callable[[OSError], None]) -> None:
        self.raw, self.refuse = raw, refuse

    def write(self, data: bytes) -> int:
        """Write bytes; none are not passed on, as click tries whether a stream takes bytes."""
        try:
            if data:
                self.raw.write(data)
        except OSError as error:
            self.refuse(error)
        return len(data)

    def flush(self) -> None:
        """Pass on what was written."""
        try:
            self.raw.flush()
        except OSError as error:
            self.refuse(error)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.raw, name)


def silence(descriptor: int) -> None:
    """Discard everything written to a file descriptor."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, descriptor)
    os.close(nowhere)


def open_streams() -> None:
    """Give the process standard streams that work, whatever state they were in.

    Closed descriptors 0 to 2 are opened; otherwise the next file would get their number and
    receive the output. A closed standard output refuses writes.
    """
    for descriptor, flags in ((0, os.O_RDONLY), (1, os.O_RDONLY), (2, os.O_WRONLY)):
        try:
            os.fstat(descriptor)
        except OSError:
            opened = os.open(os.devnull, flags)
            if opened != descriptor:
                os.dup2(opened, descriptor)
                os.close(opened)
    if sys.stdin is None:
        sys.stdin = open(0, closefd=False)
    sys.stdout = stream(Results, sys.stdout, 1)
    sys.stderr = stream(Remarks, sys.stderr, 2)


def stream(kind: type[io.TextIOWrapper], given: Any, descriptor: int) -> io.TextIOWrapper:
    """A text stream of a kind over the bytes of the given one; over a descriptor if it is None."""
    if given is None:
        raw: Any = io.BufferedWriter(io.FileIO(descriptor, "w", closefd=False))
        return kind(raw, encoding="utf-8", errors="backslashreplace", line_buffering=True)
    encoding, lines, whole = given.encoding, given.line_buffering, given.write_through
    raw = given.detach()
    if not stat.S_ISREG(os.fstat(raw.fileno()).st_mode):
        awaited = Awaited(raw, whole)
        raw = awaited if whole else io.BufferedWriter(awaited)
    return kind(raw, encoding=encoding, errors="backslashreplace", line_buffering=lines)

"""The standard streams of the process: open, able to hold any text, never causing a traceback."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable
from typing import Any, NoReturn

from mmvae.foundations.errors import OutputError


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


class Bytes:
    """The bytes of a standard stream.

    Args:
        raw: Where they are written.
        refuse: Called with the error if the system refuses a write.
    """

    def __init__(self, raw: Any, refuse: Callable[[OSError], None]) -> None:
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
    encoding, lines = given.encoding, given.line_buffering
    return kind(given.detach(), encoding=encoding, errors="backslashreplace", line_buffering=lines)

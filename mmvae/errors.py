"""The errors that mmvae raises on purpose; each knows the exit code its command ends with.

A message names the file, key or item, the value, what was expected, and what to do. The command
line turns these errors, and no others, into one line and the exit code.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import ClassVar


class MmvaeError(Exception):
    """Base of all errors that speak to the user. Exit code 1."""

    exit_code: ClassVar[int] = 1


class TrainingError(MmvaeError):
    """Training or evaluation failed: NaN, out of memory, full disk. Exit code 1."""


class NotFinite(TrainingError):
    """A term or a weight became NaN or infinite. Exit code 1."""


class UsageError(MmvaeError):
    """The request itself cannot be carried out as it was made. Exit code 2."""

    exit_code = 2


class ConfigError(UsageError):
    """A configuration is wrong: unknown key, wrong type, value out of range. Exit code 2."""


class DataError(UsageError):
    """An input file or a column is missing, malformed or outside its support. Exit code 2."""


class RunError(UsageError):
    """A run folder is missing, not a run, or in use by another process. Exit code 2."""


class PluginError(MmvaeError):
    """A plugin that is needed is missing or broken. Exit code 3."""

    exit_code = 3


class ContractBroken(PluginError):
    """A plugin does other than its contract says. Exit code 3.

    Args:
        message: What the contract wants and what was got.
        codec: Kind of the codec that it was, where that is known.
    """

    def __init__(self, message: str, codec: str | None = None) -> None:
        super().__init__(message)
        self.codec = codec


def require(kept: bool, wanted: object, got: object) -> None:
    """Raise :class:`ContractBroken` unless ``kept``."""
    if not kept:
        raise ContractBroken(f"Wanted {wanted}; got {got}.")


_SIGNS = (
    "out of memory",
    "can't allocate memory",
    "not enough memory",
    "storage size calculation overflowed",
)


def out_of_memory(error: Exception) -> bool:
    """Whether an allocation failed; torch says so by a RuntimeError, often without a class."""
    known = isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"
    torchs = isinstance(error, RuntimeError)
    return known or (torchs and any(sign in str(error).lower() for sign in _SIGNS))


@contextmanager
def naming(culprit: str, doing: str) -> Iterator[None]:
    """Run a plugin's code; what it raises that does not speak to the user gets to name it.

    Args:
        culprit: Table and kind: ``"metrics.m: the metric 'latent'"``.
        doing: What it was called for: ``"measure"``.

    Raises:
        PluginError: It raised something else than an error of mmvae, or memory running out.
    """
    try:
        yield
    except Exception as error:  # strangers' code may fail in any way
        if isinstance(error, MmvaeError) or out_of_memory(error):
            raise
        raise PluginError(
            f"{culprit} failed in {doing}: {type(error).__name__}: {error}. Take its table out "
            f"of the config, or tell its authors."
        ) from error


class PluginWarning(UserWarning):
    """A plugin is broken, slow, or of another version, and what is being done goes on."""


class DataCheckError(MmvaeError):
    """``mmvae data check`` found something wrong with the data. Exit code 4."""

    exit_code = 4


class CheckpointError(MmvaeError):
    """A checkpoint is damaged or belongs to another model. Exit code 5."""

    exit_code = 5


class Interrupted(MmvaeError):
    """Training was stopped by a signal after a clean save.

    Args:
        message: What happened, with the command that goes on.
        exit_code: 75 after SIGTERM, 130 after SIGINT.
    """

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code  # type: ignore[misc]  # one class, two documented codes


class UnsupportedValue(ValueError):
    """A codec met a value outside its support; the core adds modality, file and item.

    Codecs raise it from ``prepare`` and ``condition``; they see rows of a column and know nothing
    of items, so they say which row and the core says whose.

    Args:
        row: Position in the column that was passed, or None if the whole column is wrong.
        value: The offending value, short enough to print.
        expected: What the codec accepts, as a noun phrase: ``"a pixel in [0, 1]"``.
        fix: What the user can do about it.
    """

    def __init__(self, row: int | None, value: object, expected: str, fix: str = "") -> None:
        self.row, self.value, self.expected, self.fix = row, value, expected, fix
        where = "" if row is None else f"row {row}: "
        super().__init__(f"{where}got {value}, expected {expected}. {fix}".rstrip())


def nearest(word: str, words: Iterable[str]) -> str:
    """Return ``" Did you mean 'x'?"`` for the nearest of ``words``, or an empty string."""
    close = difflib.get_close_matches(word, list(words), n=1, cutoff=0.6)
    return f" Did you mean {close[0]!r}?" if close else ""

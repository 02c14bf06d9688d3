"""The errors that mmvae raises on purpose; each defines the exit code of its command.

A message names the file, key or item, the value, what was expected, and what to do. The command
line turns these errors, and no others, into one line and the exit code.
"""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import ClassVar


class MmvaeError(Exception):
    """Base of all errors addressed to the user. Exit code 1."""

    exit_code: ClassVar[int] = 1


class TrainingError(MmvaeError):
    """Training or evaluation failed: NaN, out of memory, full disk. Exit code 1."""


class NonFinite(TrainingError):
    """A term, a weight or a statistic is NaN or infinite. Exit code 1.

    Args:
        message: The value, its place and the moment.
        split: The split of the items that may cause it, if known.
        rows: Its items with a term that is not finite; empty if no item is the cause.
        remedy: Advice if the data are sound.
    """

    def __init__(
        self, message: str, split: str = "", rows: Sequence[int] = (), remedy: str = ""
    ) -> None:
        super().__init__(f"{message} {remedy}".rstrip())
        self.message, self.split, self.rows, self.remedy = message, split, tuple(rows), remedy


class UsageError(MmvaeError):
    """The request cannot be carried out. Exit code 2."""

    exit_code = 2


class ConfigError(UsageError):
    """A configuration is wrong: unknown key, wrong type, value out of range. Exit code 2."""


class SearchLimit(UsageError):
    """A search was stopped before it had an answer. Exit code 2."""


class DataError(UsageError):
    """An input file or a column is missing, malformed or outside its support. Exit code 2."""


class RunError(UsageError):
    """A run folder is missing, not a run, or in use by another process. Exit code 2."""


class PluginError(MmvaeError):
    """A plugin that is needed is missing or broken. Exit code 3."""

    exit_code = 3


class ContractBroken(PluginError):
    """A plugin breaks its contract. Exit code 3.

    Args:
        message: What the contract requires and what the plugin did.
        codec: Kind of the codec concerned, if known.
    """

    def __init__(self, message: str, codec: str | None = None) -> None:
        super().__init__(message)
        self.codec = codec


def require(kept: bool, wanted: object, got: object, remedy: str = "") -> None:
    """Raise :class:`ContractBroken` unless ``kept``.

    Args:
        kept: True if the contract is kept.
        wanted: The requirement.
        got: The observed value.
        remedy: Advice for the plugin's author, as a sentence.
    """
    if not kept:
        said = f"Wanted {shortened(str(wanted), LONG)}; got {shortened(str(got), LONG)}."
        raise ContractBroken(f"{said} {remedy}".rstrip())


LONG = 300
"""Maximum number of characters of a text within a message; values of users are shorter still."""


LONGEST = 1000
"""Maximum number of characters of one finding in a list of them."""

LISTED = 20
"""Maximum number of findings that a message lists."""


def shortened(text: str, most: int = 80) -> str:
    """Shorten a text to one line of at most this many characters, cut at its end."""
    line = re.sub(r"\s*\n\s*", " ", text.strip())
    return line if len(line) <= most else f"{line[:most]}…"


def short(value: object, most: int = 80) -> str:
    """Format a value as one line for messages."""
    if isinstance(value, (str, bytes, bytearray)) and len(value) > most:
        value = value[: most + 1]  # a file's content need not be written out to be cut
    try:
        return shortened(repr(value), most)
    except RecursionError:
        return f"a {type(value).__name__} that is nested too deeply"


_SIGNS = (
    "out of memory",
    "can't allocate memory",
    "not enough memory",
    "storage size calculation overflowed",
)


def out_of_memory(error: Exception) -> bool:
    """True if an allocation failed; torch raises a RuntimeError for it, often without a class."""
    known = isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"
    torchs = isinstance(error, RuntimeError)
    return known or (torchs and any(sign in str(error).lower() for sign in _SIGNS))


def memory_error(error: Exception) -> TrainingError:
    """The error for an allocation that failed where nothing says which key to make smaller."""
    why = shortened(str(error)) or type(error).__name__
    return TrainingError(
        f"Out of memory ({why}). Ask for less at once, such as fewer items, a smaller --count or "
        f"--samples (in Python count= or samples=); or use a machine with more."
    )


@contextmanager
def naming(culprit: str, doing: str) -> Iterator[None]:
    """Run a plugin's code, and make unexpected errors of it name the plugin.

    Args:
        culprit: Table and kind: ``"metrics.m: the metric 'latent'"``.
        doing: The method that is called: ``"measure"``.

    Raises:
        PluginError: It raised something other than an error of mmvae or an out-of-memory error.
    """
    try:
        yield
    except Exception as error:  # third-party code may fail in any way
        if isinstance(error, MmvaeError) or out_of_memory(error):
            raise
        raise PluginError(
            f"{culprit} failed in {doing}: {type(error).__name__}: {shortened(str(error), LONG)}. "
            f"Remove its table from the config, or report this to its authors."
        ) from error


class PluginWarning(UserWarning):
    """A plugin is broken, slow, or of another version, and the work continues."""


class DataCheckError(MmvaeError):
    """``mmvae data check`` found something wrong with the data. Exit code 4."""

    exit_code = 4


class CheckpointError(MmvaeError):
    """A checkpoint is damaged or belongs to another model. Exit code 5."""

    exit_code = 5


class Interrupted(MmvaeError):
    """Training was stopped by a signal after a clean save.

    Args:
        message: What happened, with the command that resumes.
        exit_code: 75 after SIGTERM, 130 after SIGINT.
    """

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code  # type: ignore[misc]  # one class, two documented codes


class OutputError(MmvaeError):
    """Standard output accepts no more data: a closed pipe, a full disk. Exit code 1."""


class Terminated(BaseException):
    """A signal asked the process to end; nothing is half-written. Exit code 75.

    It is not a subclass of Exception, so that code which handles failures does not catch it.
    """

    exit_code: ClassVar[int] = 75


class UnsupportedValue(ValueError):
    """A codec met a value outside its support; the core adds modality, file and item.

    Codecs raise it from ``prepare`` and ``condition``. They see rows of a column and do not know
    items, so they give the row and the core gives the item.

    Args:
        row: Position in the column that was passed, or None if the whole column is wrong.
        value: The offending value, short enough to print.
        expected: The accepted values, as a noun phrase: ``"a pixel in [0, 1]"``.
        fix: Advice for the user.
    """

    def __init__(self, row: int | None, value: object, expected: str, fix: str = "") -> None:
        self.row, self.value, self.expected, self.fix = row, value, expected, fix
        where = "" if row is None else f"row {row}: "
        super().__init__(f"{where}{self.said}")

    @property
    def said(self) -> str:
        """The value, the expected values and the advice, with long values shortened."""
        got, expected = shortened(str(self.value)), shortened(str(self.expected), LONG)
        return f"got {got}, expected {expected}. {shortened(str(self.fix), 2 * LONG)}".rstrip()

    def after(self, rows: int) -> UnsupportedValue:
        """Return the same error for a column that has ``rows`` more rows before this one."""
        row = None if self.row is None else rows + self.row
        return UnsupportedValue(row, self.value, self.expected, self.fix)


def nearest(word: str, words: Iterable[str]) -> str:
    """A sentence that names the one of some words that may have been meant, or nothing.

    A word that looks the same but is written differently is shown with its escapes.
    """
    known = list(words)
    twin = next((other for other in known if as_seen(other) == as_seen(word)), None)
    if twin is not None and twin != word:
        return f" Did you mean {twin!r}? It is written {ascii(twin)}, not {ascii(word)}."
    close = difflib.get_close_matches(word, known, n=1)
    return f" Did you mean {close[0]!r}?" if close else ""


def as_seen(text: str) -> str:
    """A text as a reader sees it: letters composed, without marks and blanks that do not show."""
    shown = "".join(
        " " if c.isspace() else c
        for c in unicodedata.normalize("NFC", text)
        if unicodedata.category(c) not in ("Cf", "Cc") or c.isspace()
    )
    return unicodedata.normalize("NFC", shown.strip())


def listed(names: Iterable[str], most: int = 20) -> str:
    """Return names for a message, ``a, b, c``; of many the first, and the number of others."""
    words = list(names)
    more = f", … and {len(words) - most:,} more" if len(words) > most else ""
    return ", ".join(words[:most]) + more

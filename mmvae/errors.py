"""The errors that mmvae raises on purpose; each knows the exit code its command ends with.

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
    """Base of all errors that speak to the user. Exit code 1."""

    exit_code: ClassVar[int] = 1


class TrainingError(MmvaeError):
    """Training or evaluation failed: NaN, out of memory, full disk. Exit code 1."""


class NonFinite(TrainingError):
    """A term, a weight or a figure is NaN or infinite. Exit code 1.

    Args:
        message: What became what, and when.
        split: The split of the items that it may be due to, where that is known.
        rows: Which of its items have a term that is not finite; none if it is no item's fault.
        remedy: What to do if the data are sound.
    """

    def __init__(
        self, message: str, split: str = "", rows: Sequence[int] = (), remedy: str = ""
    ) -> None:
        super().__init__(f"{message} {remedy}".rstrip())
        self.message, self.split, self.rows, self.remedy = message, split, tuple(rows), remedy


class UsageError(MmvaeError):
    """The request itself cannot be carried out as it was made. Exit code 2."""

    exit_code = 2


class ConfigError(UsageError):
    """A configuration is wrong: unknown key, wrong type, value out of range. Exit code 2."""


class SearchLimit(UsageError):
    """A search was given up before it could say yes or no. Exit code 2."""


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


def require(kept: bool, wanted: object, got: object, remedy: str = "") -> None:
    """Raise :class:`ContractBroken` unless ``kept``.

    Args:
        kept: Whether the contract is kept.
        wanted: What it wants.
        got: What was got instead.
        remedy: What the plugin's author can do, as a sentence.
    """
    if not kept:
        said = f"Wanted {shortened(str(wanted), LONG)}; got {shortened(str(got), LONG)}."
        raise ContractBroken(f"{said} {remedy}".rstrip())


LONG = 300
"""Characters of a text within a message at most; values of users are shorter still."""


def shortened(text: str, most: int = 80) -> str:
    """A text as one line of so many characters at most, cut at its end."""
    line = re.sub(r"\s*\n\s*", " ", text.strip())
    return line if len(line) <= most else f"{line[:most]}…"


def short(value: object, most: int = 80) -> str:
    """A value as one line for messages."""
    if isinstance(value, (str, bytes, bytearray)) and len(value) > most:
        value = value[: most + 1]  # a file's content need not be written out to be cut
    return shortened(repr(value), most)


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
            f"{culprit} failed in {doing}: {type(error).__name__}: {shortened(str(error), LONG)}. "
            f"Take its table out of the config, or tell its authors."
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


class OutputError(MmvaeError):
    """Standard output takes no more: a closed pipe, a full disk. Exit code 1."""


class Terminated(BaseException):
    """A signal asked the process to end; nothing is half-written. Exit code 75.

    No subclass of Exception, so that no code which handles failures takes it for one.
    """

    exit_code: ClassVar[int] = 75


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
        super().__init__(f"{where}{self.said}")

    @property
    def said(self) -> str:
        """What was got and expected, and what to do, with long values cut."""
        got, expected = shortened(str(self.value)), shortened(str(self.expected), LONG)
        return f"got {got}, expected {expected}. {shortened(str(self.fix), 2 * LONG)}".rstrip()


def nearest(word: str, words: Iterable[str]) -> str:
    """A sentence that names the one of some words that may have been meant, or nothing.

    A word that looks the same, but is written otherwise, is told by its escapes.
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
    """Return names for a message, ``a, b, c``; of very many the first, and how many more."""
    words = list(names)
    more = f", … and {len(words) - most:,} more" if len(words) > most else ""
    return ", ".join(words[:most]) + more

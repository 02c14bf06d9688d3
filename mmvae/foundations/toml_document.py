"""A configuration as it was written: its values, and the origin of each."""

from __future__ import annotations

import difflib
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mmvae.foundations.errors import ConfigError, UsageError
from mmvae.foundations.printable import is_unicode, printable
from mmvae.foundations.storage import MOST, named_path
from mmvae.foundations.toml import (
    KeyPath,
    dotted,
    dumps,
    literal,
    parse,
    parse_override,
    places_of,
    plain,
)


@dataclass
class Document:
    """A configuration as it was written, with overrides applied to it.

    Attributes:
        source: Its name in messages: a file's path, ``<stdin>`` or ``config``.
        text: The text, before overrides.
        table: The values, plain Python ones of JSON types.
        places: Key path → ``file:line`` or ``-s key=value``, for written keys and tables.
    """

    source: str
    text: str
    table: dict[str, Any]
    places: dict[KeyPath, str] = field(default_factory=dict)

    def place(self, path: KeyPath) -> str:
        """Place of ``path``, or of the innermost table around it."""
        for length in range(len(path), 0, -1):
            if path[:length] in self.places:
                return self.places[path[:length]]
        return self.source

    def value(self, path: KeyPath) -> Any:
        """The value at ``path``.

        Raises:
            KeyError: There is no such key.
        """
        found: Any = self.table
        for part in path:
            inside = isinstance(found, list if isinstance(part, int) else dict)
            if not inside or isinstance(part, int) and part >= len(found):
                raise KeyError(dotted(path))
            found = found[part]
        return found

    def override(self, text: str) -> None:
        """Apply one ``key=value``; the value is read as TOML, a bare word as a string.

        Raises:
            ConfigError: The key or the value is malformed, or the key passes through a value that
                is not a table.
        """
        path, value = parse_override(text)
        table = self.table
        for depth, part in enumerate(path[:-1], 1):
            table = table.setdefault(part, {})
            if not isinstance(table, dict):
                raise ConfigError(
                    f"-s {text}: {dotted(path[:depth])} is {literal(table)}, which has no keys."
                )
        table[path[-1]] = value
        self.places = {p: w for p, w in self.places.items() if p[: len(path)] != path}
        self.places[path] = f"-s {text}"


def read(source: str | os.PathLike[str] | Mapping[str, Any]) -> Document:
    """Read a document from a file, from standard input (``-``) or from a mapping.

    Raises:
        ConfigError: It cannot be read, is not UTF-8 or not TOML; the message names the line.
    """
    if isinstance(source, Mapping):
        table = plain(source)
        text = dumps(table)
        if not is_unicode(text):
            raise ConfigError(
                f"config: {printable(_half(text), one_line=True)}: half a character, which no "
                f"file can hold; expected valid Unicode. Correct that text."
            )
        return Document("config", text, table)
    try:
        name = str(named_path(source, "config"))
    except UsageError as error:
        raise ConfigError(str(error)) from None
    data = sys.stdin.buffer.read() if name == "-" else _read_bytes(Path(name))
    name = "<stdin>" if name == "-" else name
    text = _decode(data, name)
    return Document(name, text, parse(text, name), places_of(text, name))


def _half(text: str) -> str:
    """The first line of a text that has half a character in it."""
    return next(line.strip() for line in text.split("\n") if not is_unicode(line))


def _read_bytes(path: Path) -> bytes:
    try:
        with path.open("rb") as file:  # perhaps a pipe that a shell made
            data = file.read(MOST + 1)
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file.{_neighbour(path)}") from None
    except IsADirectoryError:
        raise ConfigError(
            f"{path}: this is a folder; expected a TOML file.{_neighbour(path / 'config.toml')}"
        ) from None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}.") from None
    if len(data) > MOST:
        raise ConfigError(f"{path}: it has more than {MOST} bytes; expected a TOML file.")
    return data


def _neighbour(path: Path) -> str:
    """A hint at the nearest TOML file beside ``path``."""
    if not path.parent.is_dir():
        return f" There is no folder {path.parent} either."
    names = sorted(file.name for file in path.parent.glob("*.toml"))
    close = difflib.get_close_matches(path.name, names, n=1)
    if close:
        return f" Did you mean {path.parent / close[0]}?"
    return f" TOML files there: {', '.join(names[:10])}." if names else ""


def _decode(data: bytes, source: str) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigError(
            f"{source}:{line}: byte 0x{data[error.start]:02x} is not UTF-8; "
            f"save the file with the encoding UTF-8."
        ) from None

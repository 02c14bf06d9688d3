"""TOML text: parsed with the place of each key, and written.

The standard parser gives values without places. Here a text is divided into its statements, each
parsed separately, so that an error or a listing can name file and line of any key.
"""

from __future__ import annotations

import json
import os
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, time
from typing import Any

import tomli_w

from mmvae.foundations.errors import ConfigError

KeyPath = tuple[str | int, ...]
"""Path of a value: ``("modalities", "image", "size")``; numbers index entries of a list."""

_DEEPEST = 64
_TRIED = 1 << 22  # characters of unfinished statements that are parsed in search of their end
_CLOSES = re.compile(r"[\]}\"']")
_BARE = re.compile(r"[A-Za-z0-9_-]+")
_PLACE = re.compile(r" \(at (?:line (\d+), column \d+|end of document)\)$")


def parse(text: str, source: str) -> dict[str, Any]:
    """Parse TOML text.

    Raises:
        ConfigError: The text is not TOML; the message names ``source`` and the line.
    """
    try:
        return {key: plain(value) for key, value in tomllib.loads(text).items()}
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(_syntax_message(str(error), text, source)) from None
    except (RecursionError, ConfigError):
        raise ConfigError(f"{source}: lists or tables are nested too deeply.") from None
    except ValueError as error:  # a number of thousands of digits
        raise ConfigError(f"{source}: not valid TOML: {error}.") from None


def places_of(text: str, source: str) -> dict[KeyPath, str]:
    """Place of each key and table of a TOML text: key path → ``source:line``."""
    places: dict[KeyPath, str] = {}
    for line, path in statements(text):
        for length in range(1, len(path)):
            places.setdefault(path[:length], f"{source}:{line}")
        places[path] = f"{source}:{line}"
    return places


def statements(text: str) -> Iterator[tuple[int, KeyPath]]:
    """Yield (line, key path) for each header and each key of a TOML text, inline tables included.

    It stops quietly at a statement that never ends; the parser proper complains about that. It
    also stops in one of very many lines: each line that closes a bracket is tried as the last.
    """
    table: KeyPath = ()
    entries: dict[KeyPath, int] = {}
    chunk, start, left = "", 1, _TRIED
    for number, line in enumerate(text.replace("\r\n", "\n").split("\n"), 1):
        if not chunk:
            start = number
        goes_on, chunk = bool(chunk), chunk + line + "\n"
        if goes_on and not _CLOSES.search(line):
            continue
        try:
            parsed = tomllib.loads(chunk)
        except (ValueError, RecursionError):
            left -= len(chunk)
            if left < 0:
                return
            continue  # a list or a text that continues on the next line
        paths = list(_key_paths(parsed, ()))
        header, chunk = chunk.lstrip().startswith("["), ""
        if header:
            table = _open_table(paths[0], entries)
            yield start, table
        else:
            yield from ((start, table + path) for path in paths)


def _open_table(header: KeyPath, entries: dict[KeyPath, int]) -> KeyPath:
    """The key path of a table, given its header and the last entry of each list of tables."""
    path: KeyPath = ()
    for part in header:
        if isinstance(part, int):  # [[table]]: the next entry of the list
            entries[path] = entries.get(path, -1) + 1
            return (*path, entries[path])
        if path in entries:
            path = (*path, entries[path])
        path = (*path, part)
    return path


def parse_override(text: str) -> tuple[tuple[str, ...], Any]:
    """Split ``key=value`` into its key path and its value.

    Raises:
        ConfigError: The key or the value is malformed.
    """
    if not text.isprintable():
        raise ConfigError(f"-s {text!r}: expected printable text; put it in the file instead.")
    key, equals, written = text.partition("=")
    written = written.strip()
    if not equals or not written:
        raise ConfigError(
            f"-s {text}: expected key=value, for example -s train.epochs=5"
            + (" (-s 'key=\"\"' for an empty text)." if equals else ".")
        )
    try:
        [path] = _key_paths(tomllib.loads(f"{key.strip()} = 0"), ())
    except (ValueError, RecursionError):
        raise ConfigError(
            f"-s {text}: {key!r} is no key; expected names joined by dots, such as train.epochs."
        ) from None
    return tuple(map(str, path)), _override_value(text, written)


def _override_value(text: str, written: str) -> Any:
    try:
        parsed = tomllib.loads(f"value = {written}")
    except (ValueError, RecursionError):
        if written[0] in "[{\"'":
            raise ConfigError(
                f"-s {text}: {written!r} is no TOML value; check its brackets and quotes, and "
                f'quote the whole for the shell: -s \'key=["a", "b"]\'.'
            ) from None
        return written  # a bare word: -s data.root=data/mnist
    if len(parsed) > 1:
        raise ConfigError(f"-s {text}: expected one value; write one -s for each key.")
    return plain(parsed)["value"]


def plain(value: Any, depth: int = 0) -> Any:
    """Convert a value to JSON types: dates to text, tuples to lists.

    Raises:
        ConfigError: JSON cannot represent it, or it is nested too deeply.
    """
    if depth > _DEEPEST:
        raise ConfigError(f"config: lists or tables are nested deeper than {_DEEPEST}.")
    if isinstance(value, Mapping):
        return {str(key): plain(entry, depth + 1) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(entry, depth + 1) for entry in value]
    if isinstance(value, (date, time)):
        return value.isoformat()
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if hasattr(value, "item"):  # a number of numpy or torch
        return value.item()
    raise ConfigError(
        f"config: {value!r} is a {type(value).__name__}; expected what TOML can hold."
    )


def dumps(table: Mapping[str, Any]) -> str:
    """Write a table as TOML; keys whose value is None are left out, as TOML has no null."""
    return tomli_w.dumps(without_none(table))


def without_none(value: Any) -> Any:
    """The same value without the keys that hold None."""
    if isinstance(value, Mapping):
        return {key: without_none(entry) for key, entry in value.items() if entry is not None}
    return [without_none(entry) for entry in value] if isinstance(value, list) else value


def flatten(table: Mapping[str, Any], path: KeyPath = ()) -> dict[KeyPath, Any]:
    """Key path → value for every key of a table that holds no table itself, or an empty one."""
    found: dict[KeyPath, Any] = {}
    for key, value in table.items():
        inside = isinstance(value, Mapping) and value
        found |= flatten(value, (*path, key)) if inside else {(*path, key): value}
    return found


def literal(value: Any, limit: int = 80) -> str:
    """Format a value as TOML, cut to ``limit`` characters."""
    text = _literal(value)
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def _literal(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(_literal, value))}]"
    if isinstance(value, Mapping):
        entries = (f"{dotted((key,))} = {_literal(entry)}" for key, entry in value.items())
        return f"{{ {', '.join(entries)} }}" if value else "{}"
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "none"}[value]
    return _quoted(value) if isinstance(value, str) else str(value)


def _quoted(text: str) -> str:
    # JSON's strings are TOML's, but for the one control character that JSON allows.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def dotted(path: Sequence[str | int]) -> str:
    """Format a key path for messages: ``modalities.image.size``, ``lists[0]``."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += "." * bool(text) + (part if _BARE.fullmatch(part) else _quoted(part))
    return text


def _key_paths(value: Any, path: KeyPath) -> Iterator[KeyPath]:
    """Paths of the innermost keys of one parsed statement."""
    if isinstance(value, dict) and value:
        for key, entry in value.items():
            yield from _key_paths(entry, (*path, key))
    elif value == [{}]:  # the trace of [[table]]
        yield (*path, 0)
    elif path:
        yield path


def _syntax_message(message: str, text: str, source: str) -> str:
    """The parser's message with our file:line in front, and the first place of a repeated key."""
    place = _PLACE.search(message)
    message = _PLACE.sub("", message)
    lines = text.rstrip("\n").split("\n")
    if place is None or place[1] is None:
        return f"{source}:{len(lines)}: not valid TOML: {message}, at the end."
    line = int(place[1])
    written = lines[line - 1].strip() if line <= len(lines) else ""
    seen: dict[KeyPath, int] = {}
    for start, path in statements(text):
        if path in seen:
            return (
                f"{source}:{start}: {dotted(path)} is written twice, first in line {seen[path]}."
            )
        seen[path] = start
    shown = "".join(c if c.isprintable() else "�" for c in written[:80])
    return f"{source}:{line}: not valid TOML: {message}: {shown}"

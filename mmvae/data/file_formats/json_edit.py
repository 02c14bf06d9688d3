"""JSON that is written again with some values replaced: all other characters stay as they are."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from mmvae.data.file_formats.json_text import BLANKS, DECODER
from mmvae.data.written_cells import is_missing
from mmvae.foundations.printable import is_unicode


def json_text(value: Any) -> str:
    """A value as JSON, in UTF-8 where its texts are valid Unicode."""
    text = json.dumps(value, ensure_ascii=False)  # half a character JSON can say by number alone
    return text if is_unicode(text) else json.dumps(value)


def edited_object(text: str, changed: Mapping[str, Any], added: Mapping[str, Any]) -> str:
    """The text of an object with other values under some names.

    Args:
        text: The object.
        changed: Name → new value. List elements keep their text unless they are missing.
        added: Names that the object lacks → values, which go to its end.
    """
    parts, done, found = [], 0, set()
    for name, start, end in members(text):
        found.add(name)
        if name in changed:
            parts += [text[done:start], edited_value(text[start:end], changed[name])]
            done = end
    more = {name: value for name, value in changed.items() if name not in found} | dict(added)
    close = text.rindex("}")
    pairs = [f"{json_text(name)}: {json_text(value)}" for name, value in more.items()]
    if not pairs:
        return "".join([*parts, text[done:]])
    body = "".join([*parts, text[done:close]])
    before, blanks = (body.rstrip(), body[len(body.rstrip()) :])
    return "".join([before, ", " if found else "", ", ".join(pairs), blanks, text[close:]])


def edited_value(text: str, value: Any) -> str:
    """The text of a new value; elements of a list stay as written where the old one has them."""
    start = _blank(text, 0)
    if not isinstance(value, list) or not text.startswith("[", start):
        return json_text(value)
    spans = list(elements(text, start))
    if len(spans) != len(value):
        return json_text(value)
    parts, done = [], 0
    for (first, last), new in zip(spans, value, strict=True):
        old = text[first:last]
        known = DECODER.decode(old)
        if isinstance(known, list) or is_missing(known) or known == "NaN":
            parts += [text[done:first], edited_value(old, new)]
            done = last
    return "".join([*parts, text[done:]])


def members(text: str) -> Iterator[tuple[str, int, int]]:
    """Name of each member of an object, and where its value begins and ends."""
    at = _blank(text, _blank(text, 0) + 1)
    while text[at] != "}":
        name, at = DECODER.raw_decode(text, at)
        start = _blank(text, _blank(text, at) + 1)
        _, end = DECODER.raw_decode(text, start)
        yield name, start, end
        at = _next(text, end)


def elements(text: str, start: int) -> Iterator[tuple[int, int]]:
    """Where each element of an array that begins at ``start`` begins and ends."""
    at = _blank(text, start + 1)
    while text[at] != "]":
        _, end = DECODER.raw_decode(text, at)
        yield at, end
        at = _next(text, end)


def _next(text: str, end: int) -> int:
    """Where the next member begins, or the closing bracket stands."""
    at = _blank(text, end)
    return _blank(text, at + 1) if text[at] == "," else at


def _blank(text: str, at: int) -> int:
    """The position of the next character that is no blank."""
    blanks = BLANKS.match(text, at)
    assert blanks is not None  # which no text is without
    return blanks.end()

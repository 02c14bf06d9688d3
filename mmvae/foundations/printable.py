"""Printable text: characters that control a terminal or the direction of text are escaped.

Names of classes, columns and files come from elsewhere. A control character in them could recolour
or clear a terminal, a bidirectional one could show a name backwards, and a lone surrogate cannot
be written at all.
"""

from __future__ import annotations

import unicodedata

_STEERING = frozenset("\u061c\u200e\u200f\u2028\u2029\ufeff") | frozenset(
    chr(code) for code in (*range(0x202A, 0x202F), *range(0x2066, 0x206A))
)
_LAYOUT = frozenset("\n\t")


def printable(text: str, *, one_line: bool = False) -> str:
    r"""Return a text with control, bidirectional and surrogate characters as ``\u001b``.

    Printable text is unchanged. In JSON the escaped form means the same character.

    Args:
        text: Any text.
        one_line: True to escape line breaks and tabs, too.
    """
    if text.isprintable():  # quick, and true of nearly all
        return text
    kept = frozenset() if one_line else _LAYOUT
    return "".join(f"\\u{ord(c):04x}" if c not in kept and _steers(c) else c for c in text)


def short_name(name: str, most: int = 40) -> str:
    """Return a name on one line, for a label: printable, and cut to ``most`` characters."""
    shown = printable(name, one_line=True)
    return shown if len(shown) <= most else f"{shown[: most - 1]}…"


def is_plain(name: str) -> bool:
    """True if a name is shown unchanged: printable, on one line, and without outer blanks."""
    return bool(name) and name == name.strip() and name == printable(name, one_line=True)


def is_unicode(text: str) -> bool:
    """True if a text holds no half of a surrogate pair, so that UTF-8 can encode it."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _steers(character: str) -> bool:
    return character in _STEERING or unicodedata.category(character) in ("Cc", "Cs")

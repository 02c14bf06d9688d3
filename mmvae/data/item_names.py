"""Names of items: those of their files, and of the rows of a table that belong to them."""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Set
from pathlib import Path, PurePath
from typing import Any

import numpy as np

from mmvae.foundations.errors import DataError, as_seen
from mmvae.foundations.printable import is_unicode, printable
from mmvae.modalities.codec import Codec

ENDINGS = (".png", ".jpg", ".jpeg", ".txt", ".npy")
"""Endings that a table may give items whose files have others."""

LISTED = 5
"""Maximum number of names in a message."""


def natural(name: str) -> list[tuple[bool, int, str, str]]:
    """A key that sorts ``2`` before ``10``, for all digits and signs."""
    parts = re.split(r"([0-9]+)", name)
    return [
        (i % 2 == 1, len(part.lstrip("0")), part.lstrip("0"), part)
        if i % 2
        else (False, 0, part, part)
        for i, part in enumerate(parts)
    ]


def name_of(file: Path) -> str:
    """The name of the item that a file belongs to: the file's, without its ending.

    Raises:
        DataError: The file's name is no valid Unicode, so that nothing could be written of it.
    """
    if not is_unicode(file.stem):
        raise DataError(
            f"{printable(str(file))}: the bytes of its name, {os.fsencode(file.name)!r}, are no "
            f"UTF-8; expected a name that is. Rename the file."
        )
    return unicodedata.normalize("NFC", file.stem)  # systems write é in two ways


def row_name(value: Any, files: Mapping[str, str], items: Set[str]) -> str:
    """The name of the item that a row belongs to, by its value in the column of names.

    Args:
        value: A text, such as ``0001``, ``0001.png`` or ``photo/0001.png``, or a number.
        files: File name → name of its item.
        items: Names of all items that have files.
    """
    if isinstance(value, (float, np.floating)) and float(value).is_integer():
        value = int(value)  # a float only because of missing values
    written = unicodedata.normalize("NFC", PurePath(str(value)).name)
    if written in items:
        return written
    if written in files:
        return files[written]
    stem, ending = os.path.splitext(written)
    known = {os.path.splitext(file)[1].lower() for file in files}
    return stem if ending.lower() in known | set(ENDINGS) else written


def refuse_near_misses(sides: Mapping[str, Set[str]]) -> None:
    """Check that no names in different places differ only by zeros, capitals or spaces.

    Args:
        sides: Place of names (a sub-folder, the table) → the names.

    Raises:
        DataError: There are such names; they are probably meant to be one item.
    """
    alike: dict[str, set[str]] = {}
    for name in set().union(*sides.values()):
        alike.setdefault(folded(name), set()).add(name)
    pairs = []
    for names in alike.values():
        ordered = sorted(names)
        homes = [{side for side, has in sides.items() if name in has} for name in ordered]
        pairs += [
            (a, min(homes[i]), b, min(homes[j]))
            for i, a in enumerate(ordered)
            for j, b in enumerate(ordered[:i])
            if not homes[i] & homes[j]
        ]
    if pairs:
        a, home, b, other = min(pairs, key=lambda pair: natural(pair[0]))
        more = f", and {len(pairs) - 1} such pairs more" if len(pairs) > 1 else ""
        raise DataError(
            f"{home} has an item {a!r}, {other} an item {b!r}{more}: they appear to be one item, "
            f"written differently. Write names in the same way, with leading zeros and capitals "
            f"(in a table as text)."
        )


def folded(name: str) -> str:
    """Normalise a name: without capitals, spaces, leading zeros, and a final ``.0``."""
    plain = re.sub(r"\s+", "", name.casefold()).removesuffix(".0")
    return re.sub(r"(?<![0-9])0+(?=[0-9])", "", plain)


def look_alikes(names: Iterable[str]) -> list[list[str]]:
    """Names that differ by nothing that shows: blanks at the ends, marks, forms of Unicode."""
    alike: dict[str, list[str]] = {}
    for name in names:
        alike.setdefault(as_seen(name), []).append(name)
    return [found for found in alike.values() if len(found) > 1]


def look_alike_phrases(codec: Codec) -> Iterator[str]:
    """A phrase for each group of classes or attributes of a codec that look the same."""
    for what, names in (("classes", codec.classes), ("attributes", codec.attributes)):
        for group in look_alikes(names or ())[:LISTED]:
            yield (
                f"the {what} {', '.join(map(ascii, group))} look the same, but are treated as "
                f"{len(group)}; write them in the same way if they are one"
            )


def some(names: Iterable[Any]) -> str:
    """The first few names, in their natural order, and the number of the others."""
    ordered = sorted(map(str, names), key=natural)
    more = f" and {len(ordered) - LISTED} more" if len(ordered) > LISTED else ""
    return ", ".join(map(repr, ordered[:LISTED])) + more

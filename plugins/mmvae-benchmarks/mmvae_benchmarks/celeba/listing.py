"""The listings of CelebA: text files that give each picture its attributes and its split.

``list_attr_celeba.txt`` has the number of pictures on its first line, the forty attribute names on
its second, then a line per picture: file name and forty numbers, +1 or −1. Each line of
``list_eval_partition.txt`` is a file name and 0 (training), 1 (validation) or 2 (test).
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from mmvae import DataError, listed, nearest
from mmvae.data.size_bounds import MIB, Bounds
from mmvae_benchmarks.faces.attributes import NAMES

Array = np.ndarray[Any, Any]

ATTRIBUTES = tuple(NAMES)
"""The forty names, in the order of every column of attributes."""

SIGNS = {"1": 1, "-1": -1}
PARTITION = {"0": 0, "1": 1, "2": 2}
LISTING = Bounds(file=256 * MIB)
"""How much a listing may hold; CelebA's own has 27 MB."""

_SHOWN = 5


@dataclass(frozen=True)
class Listing:
    """The content of the attribute file.

    Attributes:
        path: The file.
        names: n file names of pictures.
        attributes: ±1, int8 (n, 40), in the order of :data:`ATTRIBUTES` whatever the file's.
    """

    path: Path
    names: list[str]
    attributes: Array


def read_listing(path: Path) -> Listing:
    """Read ``list_attr_celeba.txt``.

    Raises:
        DataError: The file cannot be read; its count, a name or a value is wrong; the message has
            the line.
    """
    lines = _lines(path)
    _, first = next(lines, (1, ""))
    if not first.strip().isdecimal():
        _refuse(path, 1, short(first), "the number of pictures that follow")
    _, second = next(lines, (2, ""))
    order = _attribute_order(path, second.split())
    names, rows = _pairs(path, lines, len(order), SIGNS, "1 or -1 for each attribute")
    if int(first) != len(names):
        raise DataError(
            f"{path}, line 1: says {int(first):,} pictures, but attributes of {len(names):,} "
            f"follow. The file is cut or was changed: fetch it again, or correct the count."
        )
    return Listing(path, names, rows[:, order])


def read_partition(path: Path, names: Iterable[str]) -> Array:
    """Read ``list_eval_partition.txt``: 0, 1 or 2 for each of ``names``, int8 (n,).

    Raises:
        DataError: The file cannot be read, has another value, or other names.
    """
    found, rows = _pairs(path, _lines(path), 1, PARTITION, "0 (train), 1 (validation) or 2 (test)")
    split = dict(zip(found, rows[:, 0].tolist(), strict=True))
    wanted = list(names)
    lacking = [name for name in wanted if name not in split]
    extra = set(found).difference(wanted)
    if lacking or extra:
        differences = [f"lacks {some(lacking)}"] if lacking else []
        differences += [f"has {some(sorted(extra))}, which it should not"] if extra else []
        raise DataError(
            f"{path}: {' and '.join(differences)}: expected a line for each picture of the "
            f"attribute file. Fetch both files again, or choose data.split = 'random'."
        )
    return np.array([split[name] for name in wanted], np.int8)


def some(names: list[str]) -> str:
    """``"3 pictures: a.jpg, b.jpg, c.jpg"``, the first few of many."""
    return f"{len(names):,} picture{'s' * (len(names) != 1)} ({listed(names, _SHOWN)})"


def short(text: str, most: int = 40) -> str:
    """The content of a line, for messages."""
    text = text.strip()
    return repr(text if len(text) <= most else f"{text[:most]}…")


def _attribute_order(path: Path, names: list[str]) -> list[int]:
    """The position in the file of each of the forty attributes."""
    for name in names:
        if name not in ATTRIBUTES:
            _refuse(
                path,
                2,
                f"attribute {name!r}",
                f"the names of the forty attributes.{nearest(name, ATTRIBUTES)}",
            )
    for name in ATTRIBUTES:
        if names.count(name) != 1:
            _refuse(path, 2, f"{name!r} {names.count(name)} times", "each of forty names once")
    return [names.index(name) for name in ATTRIBUTES]


def _pairs(
    path: Path,
    lines: Iterable[tuple[int, str]],
    width: int,
    values: Mapping[str, int],
    expected: str,
) -> tuple[list[str], Array]:
    """File names, and the values after them on each line, int8 (n, width)."""
    names: dict[str, None] = {}
    rows = bytearray()
    for number, line in lines:
        if not line.strip():
            continue
        name, *fields = line.split()
        if len(fields) != width:
            got = f"{name!r} with {len(fields)} values"
            _refuse(path, number, got, f"a file name and {width}: {expected}")
        if name in names:
            _refuse(path, number, f"{name!r} a second time", "each picture once")
        try:
            rows += bytes([values[field] & 0xFF for field in fields])
        except KeyError as error:
            _refuse(path, number, f"{error.args[0]!r} for {name!r}", expected)
        names[name] = None
    if not names:
        raise DataError(f"{path}: no pictures; expected a line for each. Fetch the file again.")
    return list(names), np.frombuffer(bytes(rows), np.int8).reshape(-1, width)


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """Numbered lines, from 1."""
    try:
        with io.TextIOWrapper(LISTING.open(path), encoding="utf-8-sig") as file:
            yield from enumerate(file, start=1)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}).") from None
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path}: byte {error.object[error.start]:#04x} is no text; expected a listing of "
            f"CelebA in UTF-8. Fetch the file again."
        ) from None


def _refuse(path: Path, line: int, got: str, expected: str) -> NoReturn:
    raise DataError(
        f"{path}, line {line}: got {got}, expected {expected}"
        f"{'' if expected.endswith('?') else '.'} Correct the line, or fetch the file again."
    )

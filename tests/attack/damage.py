"""Damage to bytes, by seed: what disks, transfers and hands do to files."""

from __future__ import annotations

import random
from collections.abc import Callable

LENGTHS = (0, 1, 2**31 - 1, 2**31, 2**32 - 1, 10**12, 2**62, 2**63 - 1, 2**64 - 1)
"""What a length in a file is changed to, as far as it has room."""

WORDS = (
    b"[" * 100_000,
    b"9" * 5_000,
    b'"\\ud800"',
    b"\xe9",
    b"\0",
    b'"',
    b"\r",
    b"1e999",
    b"NaN",
    b",",
    b"{}",
    b"-",
)
"""What is put into a text."""


def damaged(data: bytes, draws: random.Random) -> tuple[str, bytes]:
    """How the bytes were damaged, and what became of them."""
    kinds = [flipped, flipped, cut, doubled, span, swapped, dropped, length, length, put]
    kind = draws.choice(kinds)
    return kind.__name__, kind(data, draws)


def flipped(data: bytes, draws: random.Random) -> bytes:
    """Change single bytes."""
    new = bytearray(data)
    for _ in range(draws.choice((1, 1, 2, 8, 64))):
        new[draws.randrange(len(new))] ^= draws.randrange(1, 256)
    return bytes(new)


def cut(data: bytes, draws: random.Random) -> bytes:
    """Lose the end."""
    return data[: draws.randrange(len(data))]


def doubled(data: bytes, draws: random.Random) -> bytes:
    """Write a part twice."""
    start, end = sorted(draws.randrange(len(data) + 1) for _ in range(2))
    return data[:end] + data[start:]


def span(data: bytes, draws: random.Random) -> bytes:
    """Overwrite a part with one byte."""
    start = draws.randrange(len(data))
    end = min(len(data), start + draws.choice((4, 16, 64, 512)))
    return data[:start] + draws.choice((b"\0", b"\xff", b" ")) * (end - start) + data[end:]


def swapped(data: bytes, draws: random.Random) -> bytes:
    """Exchange two parts that follow one another."""
    a, b, c = sorted(draws.randrange(len(data) + 1) for _ in range(3))
    return data[:a] + data[b:c] + data[a:b] + data[c:]


def dropped(data: bytes, draws: random.Random) -> bytes:
    """Lose a part."""
    start = draws.randrange(len(data))
    return data[:start] + data[start + draws.choice((1, 2, 7, 64)) :]


def length(data: bytes, draws: random.Random) -> bytes:
    """Put another number where a length could be: 2, 4 or 8 bytes, either end first."""
    size, order = draws.choice((2, 4, 4, 8)), draws.choice(("little", "big"))
    at = draws.randrange(max(1, len(data) - size))
    number = draws.choice(LENGTHS) % 256**size
    return data[:at] + number.to_bytes(size, order) + data[at + size :]  # type: ignore[arg-type]


def put(data: bytes, draws: random.Random) -> bytes:
    """Put something in."""
    at = draws.randrange(len(data) + 1)
    return data[:at] + draws.choice(WORDS) + data[at:]


Damage = Callable[[bytes, random.Random], bytes]

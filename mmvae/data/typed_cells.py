"""Typed cells: numbers for named cells, as a user types them on a command line."""

from __future__ import annotations

import math
from collections.abc import Sequence

from mmvae.data.written_cells import written_number
from mmvae.foundations.errors import nearest
from mmvae.modalities.names import listed

SHOWN = 80
"""Characters of an unknown name that a message shows."""


def typed_cells(
    text: str, names: Sequence[str], others: float, called: str = "cell"
) -> list[float]:
    """Parse ``height=1.8,weight=70``, or one number for each name in their order.

    Args:
        text: The typed text. One space after a comma is no part of a name.
        names: Names of the cells.
        others: Value of the cells that the text does not name. If it is NaN, it stands for an
            unobserved cell, and the text may say ``nan``, too.
        called: A noun for a cell, for messages.

    Returns:
        One number for each name, finite or ``others``.

    Raises:
        ValueError: A name is unknown or occurs twice, a number is not finite, or bare numbers are
            more or fewer than the names.
    """
    pieces = text.split(",")
    parts = [pieces[0], *(piece.removeprefix(" ") for piece in pieces[1:])]
    parts = [part for part in parts if part.strip()]
    gaps = math.isnan(others)
    if not any("=" in part for part in parts):
        if len(parts) != len(names):
            rest = "not observed" if gaps else f"{others:g}"
            raise ValueError(
                f"{text!r} has {len(parts)} numbers, expected {len(names)}, or pairs such "
                f"as {names[0]}=1 (the others then are {rest})."
            )
        return [_number(part.strip(), part.strip(), gaps) for part in parts]
    found: dict[str, float] = {}
    for part in parts:
        name, number = _pair(part, names)
        if name not in names:
            hint = nearest(name, names)
            raise ValueError(f"{name[:SHOWN]!r} is no {called}; there are {listed(names)}.{hint}")
        if name in found:
            raise ValueError(f"{text!r} names {name!r} twice; expected each {called} once.")
        found[name] = _number(number, part.strip(), gaps)
    return [found.get(name, others) for name in names]


def _pair(part: str, names: Sequence[str]) -> tuple[str, str]:
    """Name and number of ``name=number``; a name may contain ``=``, a number never does.

    Spaces around the name are part of it only if there is such a name.
    """
    name, equals, number = part.rpartition("=")
    if not equals:
        return part.strip(), ""
    near = (name, name.strip(), f" {name}")
    return next((known for known in near if known in names), name.strip()), number.strip()


def _number(text: str, part: str, gaps: bool) -> float:
    """Return a finite number, or NaN for a typed ``nan`` if there may be gaps."""
    if gaps and text.strip().lower() == "nan":
        return math.nan
    try:
        number = written_number(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        unless = " (nor nan, for none)" if gaps else ""
        raise ValueError(f"{part!r}: {text!r} is not a finite number{unless}.")
    return number

"""Edits: attributes set to values, as in ``--attribute Smiling=2,Male=-2``."""

from __future__ import annotations

import difflib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mmvae import UsageError, written_number

if TYPE_CHECKING:
    from torch import Tensor

OPTION = "--attribute"
MINUS = "−"
LARGEST = 1e6
"""Maximum absolute value: beyond any useful value, and well within float32."""

PAPER_EDITS = ("Male=-2", "Eyeglasses=2", "Young=-2", "Smiling=2", "Mouth_Slightly_Open=2")
"""The five edits of a face, like those of the paper's Fig. 5."""

PAPER_SETTINGS = ("Male=2", "Male=-2", "Bald=2", "Smiling=2", "Eyeglasses=2", "Young=-2")
"""The edits beside Base, like those of the paper's Fig. 4."""


@dataclass(frozen=True)
class Edit:
    """Attributes to set, all at once.

    Attributes:
        values: Attribute → value: any number up to ±10⁶; the data have only ±1.
    """

    values: dict[str, float]

    @classmethod
    def parse(cls, text: str) -> Edit:
        """Read ``NAME=VALUE``, or several with commas.

        Raises:
            UsageError: A part has no value, or a value that is not a number up to ±10⁶; or a name
                occurs twice.
        """
        values: dict[str, float] = {}
        for part in text.split(","):
            name, equals, number = (piece.strip() for piece in part.partition("="))
            if not (name and equals and number):
                raise UsageError(
                    f"{OPTION} {text}: got {part.strip()!r}, expected NAME=VALUE, such as "
                    f"Smiling=2."
                )
            if name in values:
                raise UsageError(f"{OPTION} {text}: {name} comes twice; give it one value.")
            values[name] = _number(number, f"{OPTION} {text}")
        return cls(values)

    @property
    def label(self) -> str:
        """For people: ``"Smiling +2, Male −2"``."""
        return ", ".join(
            f"{name.replace('_', ' ')} {signed(value)}" for name, value in self.values.items()
        )

    def applied(self, w: Tensor, names: Sequence[str]) -> Tensor:
        """Attributes (b, a) with these set, a new tensor.

        Raises:
            UsageError: There is no such attribute; the message has the nearest names.
        """
        changed = w.clone()
        for name, value in self.values.items():
            if name not in names:
                raise UsageError(f"{OPTION} {name}: {unknown(name, names)}")
            changed[:, names.index(name)] = value
        return changed


def default_edits(texts: Sequence[str], names: Sequence[str]) -> tuple[Edit, ...]:
    """The paper's edits whose attributes exist; else each of the first five at 2."""
    known = [edit for edit in map(Edit.parse, texts) if set(edit.values) <= set(names)]
    return tuple(known) or tuple(Edit({name: 2.0}) for name in names[:5])


def unknown(name: str, names: Sequence[str]) -> str:
    """The message for an unknown attribute, with similar names."""
    small = {known.lower(): known for known in names}
    close = difflib.get_close_matches(name.lower(), small, n=3, cutoff=0.5)
    if close:
        return f"no such attribute. Nearest: {', '.join(small[word] for word in close)}."
    return f"no such attribute; there are {', '.join(names)}."


def signed(value: float, digits: str = "g") -> str:
    """A number with its sign: ``"+2"``, ``"−0.5"``."""
    return f"{value:+{digits}}".replace("-", MINUS)


def _number(text: str, where: str) -> float:
    try:
        number = written_number(text)
    except ValueError:
        number = math.nan
    if not abs(number) <= LARGEST:
        raise UsageError(
            f"{where}: {text!r} is no finite number up to ±{LARGEST:,.0f}; expected one such as 2 "
            f"or -1.5."
        )
    return number

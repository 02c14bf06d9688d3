"""Findings: errors and remarks of checks of data."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

REMARKS = frozenset({"duplicate", "constant", "extreme", "tiny", "doubt", "source"})
"""Kinds of findings that deserve attention but do not prevent training."""


@dataclass(frozen=True)
class Finding:
    """One error, or a remark.

    Attributes:
        kind: ``value``, ``column``, ``empty``, ``gaps``, ``duplicate``, ``leak``, ``constant``,
            ``extreme``, ``class``, ``tiny``, ``doubt``, ``source`` or ``classifier``.
        split: The split, or ``"all"``.
        modality: The modality, or None for whole items.
        item: Id of the item, or None for all.
        message: The description.
    """

    kind: str
    split: str
    modality: str | None
    item: Any
    message: str

    @property
    def wrong(self) -> bool:
        """True if the data must be fixed: values refused, empty items, leaks, unseen classes."""
        return self.kind not in REMARKS

    def as_json(self) -> dict[str, Any]:
        """The finding as plain values."""
        item = self.item.item() if isinstance(self.item, np.generic) else self.item
        return {**asdict(self), "item": item, "wrong": self.wrong}

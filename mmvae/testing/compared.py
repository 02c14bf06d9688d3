"""Direction of a statistic of ``compare``: true values, and values of other items."""

from __future__ import annotations

import re

from torch import Tensor

LOW = frozenset(
    "error errors rmse mse mae loss distance deviation difference divergence wrong".split()
)
"""Words of statistics that are lowest, or 0, for true values."""

HIGH = frozenset(
    "accuracy precision recall correct right match matches similarity agreement overlap".split()
)
"""Words of statistics that are highest for true values."""

TURNED = frozenset("negative neg minus inverse no not without log one 1".split())
"""Words that may turn the direction of others."""


def expected(name: str) -> str:
    """``lowest``, ``highest``, or an empty text if the name says no direction."""
    words = set(re.findall(r"[a-z]+|\d+", name.lower()))
    low, high = bool(words & LOW), bool(words & HIGH)
    if low == high or words & TURNED:
        return ""
    return "lowest" if low else "highest"


def directions(right: Tensor, others: Tensor) -> set[str]:
    """Directions in which true values are nowhere worse than others.

    Args:
        right: The statistic of the true values as prediction, (b,).
        others: Of other predictions for the same items, (k, b).

    Returns:
        Of ``lowest`` and ``highest``; ``lowest`` too for a signed error, which is 0 if right.
    """
    scale = max(float(right.abs().max()), float(others.abs().max()))
    close = 1e-4 * scale + 1e-6
    found = set()
    if bool((right <= others + close).all()):
        found.add("lowest")
    if bool((right >= others - close).all()):
        found.add("highest")
    if bool((right.abs() <= close).all()) and float(others.min()) < 0 < float(others.max()):
        found.add("lowest")
    return found

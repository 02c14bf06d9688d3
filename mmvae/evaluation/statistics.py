"""Statistics with errors: mean and standard error over items, by name."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from mmvae.foundations.errors import NonFinite

Path = tuple[str, ...]
"""Path of a statistic in the result: ``("given", "image", "label", "accuracy")``."""


def mean_and_error(values: Tensor) -> dict[str, float | None]:
    """Mean and standard error over items of values (n,); one item alone has no error."""
    values = values.double().flatten()
    n = len(values)
    error = float(values.std(correction=1)) / math.sqrt(n) if n > 1 else None
    return {"mean": float(values.mean()), "error": error}


class ItemFigures:
    """Values per item, accumulated over batches and then summarised.

    A statistic may cover some items only; its summary then gives their number.

    Args:
        total: All items.
    """

    def __init__(self, total: int | None = None) -> None:
        self._total = total
        self._parts: dict[Path, list[Tensor]] = {}

    def add(self, values: Mapping[Path, Tensor]) -> None:
        """Add one batch's values, each of shape (b,), or those of the items that count."""
        for path, value in values.items():
            self._parts.setdefault(path, []).append(value.detach().cpu())

    def summary(self) -> dict[str, Any]:
        """Summaries nested by path, each as :func:`mean_and_error`; without those of no item.

        Raises:
            NonFinite: A value is not finite; statistic and item are named.
        """
        nested: dict[str, Any] = {}
        for path, parts in self._parts.items():
            values = torch.cat(parts)
            if not len(values):
                continue
            require_finite(path, values, whole=self._total in (None, len(values)))
            put(nested, path, mean_and_error(values) | self._count(values))
        return nested

    def _count(self, values: Tensor) -> dict[str, int]:
        return {} if self._total in (None, len(values)) else {"items": len(values)}


def require_finite(path: Path, values: Tensor, first: int = 0, whole: bool = True) -> None:
    """Check that the values (n,) of the items from ``first`` on are finite.

    Args:
        path: The statistic.
        values: Its values.
        first: The item of the first value.
        whole: True if each item has a value, so that the index of a value gives its item.

    Raises:
        NonFinite: A value is not finite; statistic and item are named.
    """
    bad = (~torch.isfinite(values)).nonzero().flatten()
    if len(bad):
        raise NonFinite(
            f"Evaluation: {' / '.join(path)} is {float(values[bad[0]])} for item "
            f"{first + int(bad[0])} of {'the split' if whole else 'those that have it'}.",
            remedy="Look at the data with `mmvae data check`, or train again with a lower "
            "train.learning_rate.",
        )


def put(nested: dict[str, Any], path: Sequence[str], value: Any) -> None:
    """Set ``nested[path[0]][path[1]]… = value``."""
    for key in path[:-1]:
        nested = nested.setdefault(key, {})
    nested[path[-1]] = value

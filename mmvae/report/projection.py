"""Projections of latents onto the two dimensions of a figure."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Projection:
    """Latents in two dimensions: unchanged, or along two principal directions.

    Attributes:
        centre: Shape (d,).
        directions: Shape (d, 2).
        share: Share of the variance that they hold.
    """

    centre: Tensor
    directions: Tensor
    share: float

    @classmethod
    def of(cls, points: Tensor) -> Projection:
        """Fit the projection to these points (n, d)."""
        if points.shape[1] == 2:
            return cls(torch.zeros(2), torch.eye(2), 1.0)
        return cls(*principal_directions(points))

    def __call__(self, points: Tensor) -> Tensor:
        """Project points (n, d) to (n, 2)."""
        return (points - self.centre) @ self.directions


def principal_directions(points: Tensor) -> tuple[Tensor, Tensor, float]:
    """Centre (d,), first two principal directions (d, 2) and their share of the variance.

    Each direction's largest component is positive; with d = 1 the second direction is 0.
    """
    centre = points.mean(0)
    _, sizes, rows = torch.linalg.svd(points - centre, full_matrices=False)
    directions = torch.zeros(points.shape[1], 2, dtype=points.dtype)
    for i, row in enumerate(rows[:2]):
        directions[:, i] = row * row[row.abs().argmax()].sign()
    total = float(sizes.square().sum())
    share = float(sizes[:2].square().sum()) / total if total else 1.0
    return centre, directions, share

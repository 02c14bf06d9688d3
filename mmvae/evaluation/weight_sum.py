"""Sums of importance weights, streamed over samples."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Estimate:
    """The estimate for each item.

    Attributes:
        nats: log p̂, float64 (b,).
        effective: Effective sample size (Σ w)² / Σ w² of the k weights, float64 (b,), 1 to k.
    """

    nats: Tensor
    effective: Tensor


class WeightSum:
    """Running sums of importance weights and of their squares, in logarithms and float64.

    They are on the CPU, because not every device has float64.

    Args:
        b: Number of items.
    """

    def __init__(self, b: int) -> None:
        self.count = 0
        self.log_sum = torch.full((b,), -math.inf, dtype=torch.float64)
        self.log_squares = self.log_sum.clone()

    def add(self, log_weights: Tensor) -> None:
        """Add log weights (k, b)."""
        double = log_weights.cpu().double()
        self.log_sum = torch.logaddexp(self.log_sum, double.logsumexp(0))
        self.log_squares = torch.logaddexp(self.log_squares, (2 * double).logsumexp(0))
        self.count += len(log_weights)

    def estimate(self) -> Estimate:
        """Log of the mean weight, and the effective sample size."""
        nats = self.log_sum - math.log(self.count)
        return Estimate(nats, (2 * self.log_sum - self.log_squares).exp())

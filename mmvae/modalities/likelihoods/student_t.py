"""Student-t: a location-scale density with polynomial tails, which forgives far outliers."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.distributions import Distribution, StudentT

from mmvae.modalities.likelihoods.location_scale import LocationScaleLikelihood, SoftplusScale

_MANY = 1e6
"""Degrees of freedom from which the normaliser is expanded in their inverse."""


class StudentTLikelihood(LocationScaleLikelihood):
    """Independent Student-t cells.

    Args:
        scale: σ of every cell, or the link from ``raw_scale`` to it.
        degrees_of_freedom: The fewer, the heavier the tails.
    """

    def __init__(
        self, scale: float | SoftplusScale = 1.0, degrees_of_freedom: float = 4.0
    ) -> None:
        super().__init__(scale)
        self.degrees_of_freedom = degrees_of_freedom

    def density(self, location: Tensor, scale: Tensor) -> Distribution:
        """μ + σ t_ν."""
        return _StudentT(self.degrees_of_freedom, location, scale)


class _StudentT(StudentT):
    """torch's distribution, whose density is exact for any ν.

    Its own subtracts logarithms of gamma functions in float32, which cancel for large ν.
    """

    def __init__(self, freedom: float, location: Tensor, scale: Tensor) -> None:
        self.freedom = freedom
        super().__init__(torch.full_like(location, freedom), location, scale, validate_args=False)

    def log_prob(self, value: Tensor) -> Tensor:
        """Log-density in nats, the shape of the location."""
        root = math.sqrt(self.freedom)
        squares = ((value - self.loc) / self.scale / root).square()
        tail = 0.5 * (self.freedom + 1) * squares.log1p()
        return -tail - self.scale.log() - log_normaliser(self.freedom)


def log_normaliser(freedom: float) -> float:
    """Log ∫ (1 + t² / ν)^(−(ν + 1) / 2) dt: log √(2π) in the limit of many degrees of freedom."""
    if freedom >= _MANY:
        return 0.5 * math.log(2 * math.pi) + 0.25 / freedom
    gammas = math.lgamma(freedom / 2) - math.lgamma((freedom + 1) / 2)
    return gammas + 0.5 * math.log(freedom * math.pi)

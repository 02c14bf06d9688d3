"""Student-t: a location-scale density with polynomial tails, which forgives far outliers."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.distributions import Distribution, StudentT

from mmvae.modalities.likelihoods.location_scale import LocationScaleLikelihood, SoftplusScale


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
        freedom = torch.full_like(location, self.degrees_of_freedom)
        return StudentT(freedom, location, scale, validate_args=False)

"""Gaussian: p(x|z) = Π_i N(x_i; μ_i(z), σ_i²)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.distributions import Distribution, Normal

from mmvae.modalities.likelihoods.location_scale import LocationScaleLikelihood


class GaussianLikelihood(LocationScaleLikelihood):
    """Independent normal cells."""

    def density(self, location: Tensor, scale: Tensor) -> Distribution:
        """N(μ, σ²)."""
        return Normal(location, scale, validate_args=False)

    def sample(self, p: Distribution, generator: torch.Generator) -> Tensor:
        """μ + σ ε."""
        noise = torch.randn(p.mean.shape, generator=generator, device=generator.device)
        return torch.addcmul(p.mean, p.stddev, noise.to(p.mean))

"""Laplace: p(x|z) = Π_i exp(−|x_i − μ_i(z)| / σ_i) / (2 σ_i), which forgives outliers."""

from __future__ import annotations

from torch import Tensor
from torch.distributions import Distribution, Laplace

from mmvae.modalities.likelihoods.location_scale import LocationScaleLikelihood


class LaplaceLikelihood(LocationScaleLikelihood):
    """Independent Laplace cells; σ is the mean absolute deviation."""

    def density(self, location: Tensor, scale: Tensor) -> Distribution:
        """Laplace(μ, σ)."""
        return Laplace(location, scale, validate_args=False)

r"""Mixtures of diagonal Gaussians as posteriors and priors: the family ``mixture``.

.. math::
    q(z) = \sum_k \pi_k\, N(z; \mu_k, \mathrm{diag}\, \sigma_k^2)
"""

from __future__ import annotations

import math

import torch
from pydantic import Field
from torch import Tensor, nn

from mmvae import Family, FamilyConfig, Posterior
from mmvae_flows.affine import Numbers, full

EDGE = 1e-12
"""How near to 0 and 1 a uniform number may come: some seven standard deviations."""


class MixtureConfig(FamilyConfig):
    """Keys of a mixture."""

    components: int = Field(50, ge=1, description="Gaussians in the mixture.")


class MixturePosterior(Posterior):
    """A mixture of K diagonal Gaussians over z.

    Args:
        logits: log π up to a constant, shape (…, K).
        means: μ, shape (…, K, d).
        log_scales: log σ, shape (…, K, d).
    """

    def __init__(self, logits: Tensor, means: Tensor, log_scales: Tensor) -> None:
        self.log_weights = logits.log_softmax(-1)
        self.means, self.log_scales = means, log_scales

    def rsample(self, noise: Tensor) -> Tensor:
        """See :meth:`mmvae.Posterior.rsample`.

        The first dimension of the noise also chooses the component: u = Φ(ε_1) lies in an interval
        of length π_k that belongs to one of them. Where in it u lies is uniform again, and Φ⁻¹ of
        that takes the place of ε_1. Weights get no gradient through a sample.
        """
        exact = self.log_weights.detach().double()
        edges = exact.exp().cumsum(-1)
        edges = edges / edges[..., -1:]
        u = torch.special.ndtr(noise[..., 0].double()).clamp(EDGE, 1 - EDGE)
        chosen = (u.unsqueeze(-1) > edges[..., :-1]).sum(-1, keepdim=True)  # (…, b, 1)
        upper = edges.expand(*chosen.shape[:-1], -1).gather(-1, chosen).squeeze(-1)
        weight = exact.exp().expand(*chosen.shape[:-1], -1).gather(-1, chosen).squeeze(-1)
        within = (1 - (upper - u) / weight).clamp(EDGE, 1 - EDGE)
        first = torch.special.ndtri(within).to(noise.dtype)
        noise = torch.cat([first.unsqueeze(-1), noise[..., 1:]], -1)
        return self._of(self.means, chosen) + self._of(self.log_scales, chosen).exp() * noise

    def log_prob(self, z: Tensor) -> Tensor:
        """See :meth:`mmvae.Posterior.log_prob`."""
        if z.dim() > self.means.dim() - 1:  # one sample after another, for memory
            return torch.stack([self.log_prob(sample) for sample in z])
        error = (full(z).unsqueeze(-2) - self.means) * (-self.log_scales).exp()
        nats = -0.5 * (error.square().sum(-1) + z.shape[-1] * math.log(2 * math.pi))
        return (self.log_weights + nats - self.log_scales.sum(-1)).logsumexp(-1)

    def point(self) -> Tensor:
        """The mean of the heaviest component, shape (…, d)."""
        return self._of(self.means, self.log_weights.argmax(-1, keepdim=True))

    @staticmethod
    def _of(values: Tensor, chosen: Tensor) -> Tensor:
        """Values (…, K, d) of the chosen components (…, 1): (…, d)."""
        d = values.shape[-1]
        every = values.expand(*chosen.shape[:-1], -1, -1)
        return every.gather(-2, chosen.unsqueeze(-1).expand(*chosen.shape, d)).squeeze(-2)


class MixtureHead(nn.Module):
    """From what is known to a :class:`MixturePosterior`, with components that begin apart.

    Args:
        components: K.
        context_dim: Width of what it sees; 0 for nothing.
        latent_dim: d.
    """

    def __init__(self, components: int, context_dim: int, latent_dim: int) -> None:
        super().__init__()
        self.shape = components, latent_dim
        self.logits = Numbers(context_dim, torch.zeros(components))
        self.means = Numbers(context_dim, torch.randn(components * latent_dim))
        self.log_scales = Numbers(context_dim, torch.zeros(components * latent_dim))

    def forward(self, context: Tensor) -> MixturePosterior:
        """Context (…, c) → batch shape (…)."""
        means, log_scales = (
            numbers(context).unflatten(-1, self.shape) for numbers in (self.means, self.log_scales)
        )
        return MixturePosterior(self.logits(context), means, log_scales)


class Mixture(Family):
    """Mixtures of diagonal Gaussians."""

    kind = "mixture"
    Config = MixtureConfig

    def head(self, context_dim: int, latent_dim: int) -> MixtureHead:
        """See :meth:`mmvae.Family.head`."""
        return MixtureHead(self.config.components, context_dim, latent_dim)

"""A mixture-of-experts VAE (Shi et al. 2019, arXiv:1911.03393) against the base class."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from pydantic import Field
from torch import Tensor

from mmvae import (
    ByModality,
    DiagonalGaussian,
    ModelConfig,
    Posterior,
    PosteriorNetwork,
    Terms,
    VariationalModel,
    elbo,
)


class Mixture(Posterior):
    """q(z|x_S) = 1/|S| Σ_m q(z|x_m)."""

    def __init__(self, experts: Sequence[DiagonalGaussian]) -> None:
        self.experts = experts

    def rsample(self, noise: Tensor) -> Tensor:
        """The first dimension of the noise also chooses the expert: Φ(ε_1) is uniform."""
        u = torch.special.ndtr(noise[..., :1].double()) * len(self.experts)
        chosen = u.floor().clamp(max=len(self.experts) - 1)
        first = torch.special.ndtri((u - chosen).clamp(1e-12, 1 - 1e-12)).to(noise)
        noise = torch.cat([first, noise[..., 1:]], -1)
        samples = [q.rsample(noise) for q in self.experts]
        return sum(torch.where(chosen == k, z, 0.0) for k, z in enumerate(samples))

    def log_prob(self, z: Tensor) -> Tensor:
        nats = torch.stack([q.log_prob(z) for q in self.experts])
        return nats.logsumexp(0) - math.log(len(self.experts))

    def point(self) -> Tensor:
        return torch.stack([q.point() for q in self.experts]).mean(0)


class MixtureOfExpertsConfig(ModelConfig):
    latent_dim: int = Field(4, ge=1, description="Dimensions of z.")


class MixtureOfExperts(VariationalModel):
    kind = "mixture-of-experts"
    Config = MixtureOfExpertsConfig

    def __init__(self, config, codecs):
        super().__init__(config, codecs)
        self.encoders = ByModality({m: self.encoder(m) for m in self.modalities})
        self.decoders = self.build_decoders()

    def encoder(self, m: str) -> PosteriorNetwork:
        trunk, width = {m: self.codecs[m].encoder()}, {m: self.codecs[m].feature_dim}
        return PosteriorNetwork(trunk, width, self.latent_dim, "linear", 1, "relu", "exp")

    def posterior(self, observed: Mapping[str, Tensor]) -> Mixture:
        return Mixture([self.encoders[m]({m: x}) for m, x in observed.items()])

    def lacks_posterior(self, subset):
        return None if subset else "A posterior needs at least one modality."

    def objective(self, phase, batch, draws, weight):
        """A sample of each expert (stratified): the mean of their bounds."""
        q, noise, bounds = self.posterior(batch.x), draws.normal("z", self.latent_dim), []
        for expert in q.experts:
            z = expert.rsample(noise)
            kl = q.log_prob(z) - self.prior({}, len(z)).log_prob(z)
            likelihoods = self.log_likelihoods(batch, z)
            bounds.append(elbo(likelihoods, kl, self.likelihood_weights, weight))
        names = bounds[0].named
        named = {n: torch.stack([b.named[n] for b in bounds]).mean(0) for n in names}
        return Terms(torch.stack([b.loss for b in bounds]).mean(0), named)

"""A learned prior: a density of z, fitted to the aggregate posterior (T15)."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from mmvae.foundations.randomness import StepDraws
from mmvae.models.families import Family, PriorKeys
from mmvae.models.phase import Phase, Terms
from mmvae.models.posteriors import Posterior

PRIOR = "prior"
"""The phase that fits a learned prior."""

BEGINNING = 10_000
"""Minimum number of samples of the aggregate posterior that initialise a learned prior."""


class LearnedPrior(nn.Module):
    """p(z) of a family: a head without input.

    Args:
        family: The family of ``[prior]``.
        latent_dim: d.
    """

    begun: Tensor

    def __init__(self, family: Family, latent_dim: int) -> None:
        super().__init__()
        self.latent_dim = latent_dim
        self.density = family.head(0, latent_dim)
        self.register_buffer("begun", torch.zeros((), dtype=torch.bool))

    def forward(self, b: int) -> Posterior | None:
        """The prior with batch shape (b,); None before it has begun."""
        return self._density(b) if self.begun else None

    def _density(self, b: int) -> Posterior:
        density: Posterior = self.density(self.begun.new_zeros(b, 0, dtype=torch.float32))
        return density

    def phase(self, keys: PriorKeys) -> Phase:
        """The phase that fits the prior."""
        rate = {} if keys.learning_rate is None else {"learning_rate": keys.learning_rate}
        weights = [p for p in self.parameters() if p.requires_grad]
        return Phase(PRIOR, weights, rate, keys.first_epoch)

    def begin(self, aggregate: Iterable[tuple[Posterior, StepDraws]]) -> None:
        """Initialise from samples of the aggregate posterior, unless it has begun or is frozen.

        Args:
            aggregate: Posteriors of batches of items, each with the randomness for its samples.
        """
        if self.begun:
            return
        self.begun.fill_(True)
        begin = getattr(self.density, "begin", None)
        if begin is None or not all(p.requires_grad for p in self.parameters()):
            return
        samples, points, count = [], [], 0
        for q, draws in aggregate:
            samples.append(q.rsample(draws.normal("z", self.latent_dim)))
            points.append(q.point())
            count += len(points[-1])
            if count >= BEGINNING:
                break
        begin(torch.cat(samples), torch.cat(points))

    def loss(self, q: Posterior, draws: StepDraws) -> Terms:
        """Cross entropy of the prior to the aggregate posterior, one sample each, nats, (b,)."""
        z = q.rsample(draws.normal("z of prior", self.latent_dim))
        nats = self._density(len(z)).log_prob(z)
        return Terms(-nats, {"log_density": nats})

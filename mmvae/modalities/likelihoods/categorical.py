"""Categorical: p(w|z) = Π_k π_k(z)^w_k of a one-hot vector w, from logits."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.distributions import Distribution, OneHotCategorical, constraints
from torch.nn import functional as F

from mmvae.modalities.likelihoods.likelihood import Likelihood, Parameters


class CategoricalLikelihood(Likelihood):
    """One class of K per item, one-hot (b, K)."""

    parameters = ("logits",)
    support = constraints.one_hot

    def distribution(self, parameters: Parameters) -> Distribution:
        """One class from logits (b, K)."""
        assert isinstance(parameters, Tensor)
        return OneHotCategorical(logits=parameters, validate_args=False)

    def log_prob(self, p: Distribution, x: Tensor, observed: Tensor | None = None) -> Tensor:
        """Log-probability of the class (b,); 0 if any cell of its one-hot is unobserved."""
        assert isinstance(p, OneHotCategorical)
        if observed is None:
            return (x * p.logits).sum(-1)  # its logits are normalised
        cells = torch.where(observed, x, 0.0) * p.logits
        return torch.where(observed.all(-1), cells.sum(-1), 0.0)

    def point(self, p: Distribution) -> Tensor:
        """The mode, one-hot float32."""
        return _one_hot(p.mean.argmax(-1), p)

    def sample(self, p: Distribution, generator: torch.Generator) -> Tensor:
        """A class for each item, one-hot float32."""
        return _one_hot(torch.multinomial(p.mean, 1, generator=generator)[:, 0], p)


def _one_hot(codes: Tensor, p: Distribution) -> Tensor:
    return F.one_hot(codes, p.event_shape[-1]).to(torch.float32)

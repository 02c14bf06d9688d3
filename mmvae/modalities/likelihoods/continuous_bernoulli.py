"""Continuous Bernoulli: p(x|z) = Π_i C(l_i(z)) exp(l_i(z) x_i) of grey levels in [0, 1]."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.distributions import Distribution, constraints

from mmvae.modalities.continuous_bernoulli_distribution import ContinuousBernoulli, bounded
from mmvae.modalities.likelihoods.likelihood import (
    Likelihood,
    Parameters,
    cells_of,
    product_over_cells,
)

_ENDS = 1.5  # over the bound: means nearer than this to 0 or 1 are rounded


class ContinuousBernoulliLikelihood(Likelihood):
    """Independent cells in [0, 1].

    Args:
        logit_bound: Largest size of a logit, approached smoothly; a cell that is always exactly 0
            has an unbounded density. A mean comes as near to 0 and 1 as 1 / ``logit_bound``.
    """

    parameters = ("logits",)
    support = constraints.unit_interval

    def __init__(self, logit_bound: float = 255.0) -> None:
        self.logit_bound = logit_bound

    def distribution(self, parameters: Parameters) -> Distribution:
        """Independent cells from logits (b, event…), bounded."""
        assert isinstance(parameters, Tensor)
        logits = bounded(parameters, self.logit_bound)
        return product_over_cells(ContinuousBernoulli(logits, validate_args=False))

    def point(self, p: Distribution) -> Tensor:
        """The mean, rounded to 0 or 1 if it is near.

        A mean never reaches 0 or 1. A mean within 1.5 / ``logit_bound`` of either, 1.5 levels of
        8 bits by default, is rounded to it; its gradient is the mean's.
        """
        mean, near = p.mean, _ENDS / self.logit_bound
        rounded = torch.where((mean < near) | (mean > 1 - near), mean.round(), mean)
        return mean + (rounded - mean).detach()

    def sample(self, p: Distribution, generator: torch.Generator) -> Tensor:
        """The quantile of uniform noise."""
        logits: Tensor = cells_of(p).logits
        uniform = torch.rand(logits.shape, generator=generator, device=logits.device)
        drawn: Tensor = cells_of(p).icdf(uniform)
        return drawn

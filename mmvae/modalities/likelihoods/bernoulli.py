"""Bernoulli: p(x|z) = Π_i π_i(z)^x_i (1 − π_i(z))^(1 − x_i) of x_i in {0, 1}, from logits."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.distributions import Bernoulli, Distribution, constraints
from torch.linalg import vecdot
from torch.nn.functional import softplus

from mmvae.modalities.likelihoods.likelihood import (
    Likelihood,
    Parameters,
    cells_of,
    product_over_cells,
)


class BernoulliLikelihood(Likelihood):
    """Independent cells of 0 or 1."""

    parameters = ("logits",)
    support = constraints.boolean

    def distribution(self, parameters: Parameters) -> Distribution:
        """Cells that are 1 with probability 1 / (1 + exp(−logit)), from logits (b, event…)."""
        assert isinstance(parameters, Tensor)
        return product_over_cells(Bernoulli(logits=parameters, validate_args=False))

    def log_prob(self, p: Distribution, x: Tensor, observed: Tensor | None = None) -> Tensor:
        """Σ x·l − log(1 + exp l) over cells with logits l, with a third of the memory traffic."""
        if observed is not None:
            return super().log_prob(p, x, observed)
        logits: Tensor = cells_of(p).logits.flatten(1)
        with torch.autocast(logits.device.type, enabled=False):  # it would round the products
            products: Tensor = vecdot(logits, x.flatten(1))
        return products - softplus(logits).sum(1)

    def point(self, p: Distribution) -> Tensor:
        """The probability of 1 in each cell."""
        return p.mean

    def sample(self, p: Distribution, generator: torch.Generator) -> Tensor:
        """0 or 1 for each cell."""
        return draw_bernoulli(p.mean, generator)


def draw_bernoulli(probability: Tensor, generator: torch.Generator) -> Tensor:
    """1 with these probabilities, else 0, same shape, drawn on their device."""
    # torch.bernoulli takes four times as long on the CPU, a sizeable part of a small step.
    noise = torch.rand(probability.shape, generator=generator, device=probability.device)
    return noise.lt_(probability)

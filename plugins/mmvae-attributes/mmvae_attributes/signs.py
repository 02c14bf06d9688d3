"""Signs: independent cells of −1 or +1, from log-odds."""

from __future__ import annotations

import torch
from torch import Size, Tensor
from torch.distributions import Distribution, constraints
from torch.nn import functional as F

from mmvae import (
    Likelihood,
    Parameters,
    product_over_cells,
)


class _Sign(constraints.Constraint):
    """−1 or +1."""

    is_discrete = True

    def check(self, value: Tensor) -> Tensor:
        """True for each cell of −1 or +1."""
        return value.abs() == 1


class SignLikelihood(Likelihood):
    """Independent cells of ±1, from log-odds of +1."""

    parameters = ("logits",)
    support = _Sign()

    def distribution(self, parameters: Parameters) -> Distribution:
        """Independent signs from log-odds (b, attributes)."""
        assert isinstance(parameters, Tensor)
        return product_over_cells(Signs(parameters))

    def sample(self, p: Distribution, generator: torch.Generator) -> Tensor:
        """±1 for each cell."""
        return 2 * torch.bernoulli((1 + p.mean) / 2, generator=generator) - 1


class Signs(Distribution):
    """±1 with p(x) = σ(x·logit), so log-odds 2 P(+1) − 1 = tanh(logit / 2) in the mean.

    Args:
        logits: Log-odds of +1, any shape.
    """

    def __init__(self, logits: Tensor) -> None:
        self.logits = logits
        super().__init__(logits.shape, validate_args=False)

    @property
    def mean(self) -> Tensor:
        """2 P(+1) − 1."""
        return (self.logits / 2).tanh()

    @property
    def variance(self) -> Tensor:
        """1 − mean²."""
        return 1 - self.mean.square()

    def log_prob(self, value: Tensor) -> Tensor:
        """Log σ(x·logit) in nats, the shape of the logits."""
        return F.logsigmoid(value * self.logits)

    def sample(self, sample_shape: Size | list[int] | tuple[int, ...] = ()) -> Tensor:
        """Draws of ±1 from the global random state."""
        shape = self._extended_shape(Size(sample_shape))
        return 2 * torch.bernoulli(self.logits.sigmoid().expand(shape)) - 1

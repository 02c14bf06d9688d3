"""Heads: map the features of modalities to the posteriors of many subsets at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mmvae.foundations.networks import Activation, activation, bounded
from mmvae.modalities.subsets import Subset
from mmvae.models.posteriors import DiagonalGaussian, Posterior

Variance = Literal["exp", "softplus"]


def gaussian(raw: Tensor, variance: Variance) -> DiagonalGaussian:
    """Split a head's output (…, 2d) into mean and log σ², in float32.

    ``variance`` says what the second half is: log σ² (``"exp"``) or the argument of
    σ² = softplus(·) (``"softplus"``, the paper's code). Log σ² is unchanged within ±25 and bounded
    to ±30, where σ is 3 · 10⁻⁷, which float32 can hardly add to a mean.
    """
    mean, spread = (raw.float() if raw.dtype.itemsize < 4 else raw).chunk(2, dim=-1)
    log_variance = spread if variance == "exp" else log_softplus(spread)
    return DiagonalGaussian(mean, bounded(log_variance, 25.0, 5.0))


def log_softplus(a: Tensor) -> Tensor:
    """Log softplus(a), elementwise, finite for every finite ``a``.

    Far below zero softplus(a) is exp(a), which underflows; its logarithm is ``a`` to float32.
    """
    return torch.where(a < -15.0, a, F.softplus(a.clamp(min=-15.0)).log())


def last_layer(width: int, latent_dim: int, shaped: HeadBuilder | None) -> nn.Module:
    """The layer that ends in a posterior: a family's head, or the linear one of a Gaussian."""
    return nn.Linear(width, 2 * latent_dim) if shaped is None else shaped(width, latent_dim)


def posterior(last: Tensor | Posterior, variance: Variance) -> Posterior:
    """Convert the output of :func:`last_layer` to a posterior."""
    return last if isinstance(last, Posterior) else gaussian(last, variance)


class SubsetHeads(nn.Module):
    """Heads of all subset posteriors over shared, narrow features, run as one batched product.

    Args:
        subsets: K subsets.
        modalities: All modalities, in the order of the configuration.
        feature_dim: Width f of the features that each modality brings.
        latent_dim: d.
        hidden_dim: Width of each subset's own hidden layer.
        act: Its activation.
        variance: See :func:`gaussian`.
    """

    mask: Tensor

    def __init__(
        self,
        subsets: Sequence[Subset],
        modalities: Subset,
        feature_dim: int,
        latent_dim: int,
        hidden_dim: int,
        act: Activation,
        variance: Variance,
    ) -> None:
        super().__init__()
        inside = membership(subsets, modalities)
        self.register_buffer("mask", inside.repeat_interleave(feature_dim, 1), persistent=False)
        count, width = len(subsets), feature_dim * len(modalities)
        self.hidden = nn.Parameter(torch.empty(count, width, hidden_dim))
        self.hidden_bias = nn.Parameter(torch.zeros(count, 1, hidden_dim))
        self.heads = nn.Parameter(torch.empty(count, hidden_dim, 2 * latent_dim))
        self.heads_bias = nn.Parameter(torch.zeros(count, 1, 2 * latent_dim))
        self.act, self.variance = activation(act), variance
        with torch.no_grad():  # nn.Linear's bounds, for the number of inputs of a subset
            fan_in = (inside.sum(1) * feature_dim).view(-1, 1, 1)
            self.hidden.uniform_(-1, 1).div_(fan_in.sqrt())
            self.heads.uniform_(-1, 1).div_(hidden_dim**0.5)

    def forward(self, features: Tensor, drawn: Sequence[int]) -> DiagonalGaussian:
        """Features (b, N·f) → posteriors of the drawn subsets, batch shape (n, b)."""
        index: slice | Tensor = slice(None)
        if len(drawn) < len(self.mask):  # a blocking copy would wait for the device at every step
            index = torch.tensor(drawn).to(features.device, non_blocking=True)
        masked = features * self.mask[index].unsqueeze(1)
        hidden = self.act(torch.baddbmm(self.hidden_bias[index], masked, self.hidden[index]))
        raw = torch.baddbmm(self.heads_bias[index], hidden, self.heads[index])
        return gaussian(raw, self.variance)

    def one(self, features: Tensor, index: int) -> DiagonalGaussian:
        """The posterior of one subset, batch shape (b,)."""
        found = self(features, [index])
        return DiagonalGaussian(found.mean[0], found.log_variance[0])


HeadBuilder = Callable[[int, int], nn.Module]
"""Width of the input, d → a family's head: (…, width) to posteriors of batch shape (…)."""


class MaskedHead(nn.Module):
    """One head for all subset posteriors, given a subset's features and its membership mask.

    Each modality adds its part to the first hidden layer, computed once for all subsets, so that
    a further subset costs no more than the layers above it.

    Args:
        subsets: K subsets.
        modalities: All modalities, in the order of the configuration.
        feature_dim: Width f of the features that each modality brings.
        latent_dim: d.
        hidden_dim: Width of the two hidden layers.
        act: Their activation.
        variance: See :func:`gaussian`.
        shaped: Builds a family's head on these layers; default: diagonal Gaussians.
    """

    mask: Tensor

    def __init__(
        self,
        subsets: Sequence[Subset],
        modalities: Subset,
        feature_dim: int,
        latent_dim: int,
        hidden_dim: int,
        act: Activation,
        variance: Variance,
        shaped: HeadBuilder | None = None,
    ) -> None:
        super().__init__()
        self.register_buffer("mask", membership(subsets, modalities), persistent=False)
        self.parts = nn.Parameter(torch.empty(len(modalities), feature_dim, hidden_dim))
        self.which = nn.Linear(len(modalities), hidden_dim)
        self.hidden = nn.Linear(hidden_dim, hidden_dim)
        self.heads = last_layer(hidden_dim, latent_dim, shaped)
        self.act, self.variance = activation(act), variance
        nn.init.uniform_(self.parts, -1, 1)
        with torch.no_grad():
            self.parts.div_((len(modalities) * feature_dim) ** 0.5)

    def forward(self, features: Tensor, drawn: Sequence[int]) -> Posterior:
        """Features (b, N·f) → posteriors of the drawn subsets, batch shape (n, b)."""
        return posterior(self.heads(self._hidden(features, drawn)), self.variance)

    def one(self, features: Tensor, index: int) -> Posterior:
        """The posterior of one subset, batch shape (b,)."""
        return posterior(self.heads(self._hidden(features, [index])[0]), self.variance)

    def _hidden(self, features: Tensor, drawn: Sequence[int]) -> Tensor:
        """The last hidden layer for the drawn subsets, (n, b, h)."""
        n, f, h = self.parts.shape
        mask = rows_of(self.mask, drawn)
        parts = torch.bmm(features.view(-1, n, f).transpose(0, 1), self.parts)  # (N, b, h)
        inside = mask.to(parts.dtype)
        seen = (inside @ parts.flatten(1)).view(len(drawn), -1, h) + self.which(mask).unsqueeze(1)
        hidden: Tensor = self.act(self.hidden(self.act(seen)))
        return hidden


def membership(subsets: Sequence[Subset], modalities: Subset) -> Tensor:
    """Membership of N modalities in K subsets, as 0 and 1, float32 (K, N)."""
    column = {m: k for k, m in enumerate(modalities)}
    inside = np.zeros((len(subsets), len(modalities)), np.float32)
    rows = np.repeat(np.arange(len(subsets)), [len(subset) for subset in subsets])
    inside[rows, [column[m] for subset in subsets for m in subset]] = 1.0
    return torch.from_numpy(inside)


def rows_of(values: Tensor, drawn: Sequence[int]) -> Tensor:
    """The drawn rows of ``values``; ``values`` itself, without a copy, if all are drawn."""
    if len(drawn) == len(values):
        return values
    # a blocking copy would wait for the device at every step
    return values[torch.tensor(drawn).to(values.device, non_blocking=True)]

"""Running mean of a model's weights, which validation and the final model use."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from copy import deepcopy
from itertools import chain

import torch
from torch import Tensor

from mmvae.models.base import Model

DEGREE = 8
"""η of the polynomial decay: the mean covers about the last 1/(η + 1) of the updates."""


class WeightAverage:
    r"""Exponential moving average of a model's weights and buffers, whose decay grows.

    .. math:: \bar w_t = d_t\, \bar w_{t-1} + (1 - d_t)\, w_t, \qquad
        d_t = \min\left(d, \frac{t - 1}{t + 8}\right)

    for the update t = 1, 2, … since these weights began to be trained. As d₁ = 0, the initial
    weights do not contribute: it is a weighted mean of w₁ … w_t. While t is small it covers about
    the last ninth of the updates, with weights that grow as s⁸ (the polynomial decay of Shamir and
    Zhang 2013, η = 8). From t = (1 + 8 d) / (1 − d) on it covers about the last 1 / (1 − d).

    Unlike ``torch.optim.swa_utils.AveragedModel`` it reads no value from the device, so a step
    never waits for it. Its only state is the mean, since t is a function of the step.

    Args:
        model: The model, with its first weights.
        decay: d, in (0, 1).
        begins: id of a parameter → the first step, from 0, that trains it; default 0.
    """

    def __init__(
        self, model: Model, decay: float, begins: Mapping[int, int] | None = None
    ) -> None:
        self.model: Model = deepcopy(model).requires_grad_(False)
        self.decay = decay
        self._begins = dict(begins or {})

    @torch.no_grad()
    def update(self, model: Model, step: int) -> None:
        """Move the mean towards the weights after ``step``; integer buffers are copied."""
        for mean, new in zip(_tensors(self.model), _tensors(model), strict=True):
            updates = step + 1 - self._begins.get(id(new), 0)
            if mean.is_floating_point() and updates > 0:
                mean.lerp_(new, 1.0 - decay_of(updates, self.decay))
            else:
                mean.copy_(new)


def decay_of(updates: int, decay: float) -> float:
    """d_t of the update t, counted from 1: 0 at first, then growing up to ``decay``."""
    return min(decay, (updates - 1) / (updates + DEGREE))


def _tensors(model: Model) -> Iterator[Tensor]:
    """Weights and buffers, shared ones once."""
    return chain(model.parameters(), model.buffers())

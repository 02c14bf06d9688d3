"""Running mean of a model's weights, which validation and the final model use."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from copy import deepcopy
from itertools import chain

import torch
from torch import Tensor, nn

from mmvae.models.protocol import Model


class WeightAverage:
    r"""Exponential moving average of a model's weights and buffers.

    .. math:: \bar w_0 = w_0, \qquad \bar w_t = d\, \bar w_{t-1} + (1 - d)\, w_t

    Unlike ``torch.optim.swa_utils.AveragedModel`` it asks the device for no number, so a step
    never waits for it.

    Args:
        model: The model, with its first weights.
        decay: d, in (0, 1).
    """

    def __init__(self, model: Model, decay: float) -> None:
        self.model: Model = deepcopy(model).requires_grad_(False)
        self.decay = decay

    @torch.no_grad()
    def update(self, model: Model) -> None:
        """Move the mean towards the weights of ``model``; whole numbers are copied."""
        for mean, new in zip(_tensors(self.model), _tensors(model), strict=True):
            if mean.is_floating_point():
                mean.lerp_(new, 1.0 - self.decay)
            else:
                mean.copy_(new)

    @torch.no_grad()
    def restart(self, model: Model, parameters: Iterable[nn.Parameter]) -> None:
        """Let the mean of some of the model's parameters begin at what they are now."""
        own = {id(p) for p in parameters}
        for mean, new in zip(_tensors(self.model), _tensors(model), strict=True):
            if id(new) in own:
                mean.copy_(new)


def _tensors(model: Model) -> Iterator[Tensor]:
    """Weights and buffers, a shared one once."""
    return chain(model.parameters(), model.buffers())

"""The critic: a network that distinguishes real from decoded items, and both sides' losses."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from mmvae import Codec


@runtime_checkable
class HasCritic(Protocol):
    """A codec with a trunk of its own for critics, shaped as its encoder's."""

    def critic(self) -> nn.Module:
        """A fresh trunk: (b, event…) float32 → features (b, feature_dim)."""


class Critic(nn.Module):
    """D(x) = sigmoid(logit(x)): a trunk of the codec, and one logit on its features.

    The trunk is the codec's ``critic()`` if it has one, else another ``encoder()``.

    Args:
        codec: The fitted codec of the modality.
    """

    def __init__(self, codec: Codec) -> None:
        super().__init__()
        self.trunk = codec.critic() if isinstance(codec, HasCritic) else codec.encoder()
        self.logit = nn.Linear(codec.feature_dim, 1)

    def features(self, x: Tensor) -> Tensor:
        """Model values (b, event…) → features (b, f), float32."""
        features: Tensor = self.trunk(x)
        return features.float()

    def forward(self, x: Tensor) -> Tensor:
        """Model values (b, event…) → logits (b,), float32: positive for items that look real."""
        logits: Tensor = self.logit(self.trunk(x))
        return logits.squeeze(-1).float()


def critic_loss(real: Tensor, *decoded: Tensor) -> Tensor:
    """−log D(x) − Σ log(1 − D(x̂)), nats (b,).

    Args:
        real: Logits of real items, (b,).
        decoded: Logits of decoded ones, each (b,).
    """
    return softplus(-real) + torch.stack([softplus(logits) for logits in decoded]).sum(0)


def decoder_loss(*decoded: Tensor) -> Tensor:
    """−Σ log D(x̂), nats (b,), of the logits of decoded items, each (b,)."""
    return torch.stack([softplus(-logits) for logits in decoded]).sum(0)


def accuracy(real: Tensor, *decoded: Tensor) -> Tensor:
    """Share that a critic classifies correctly, (b,); both kinds weigh equally, ½ is chance."""
    found_out = torch.stack([(logits < 0).float() for logits in decoded]).mean(0)
    return 0.5 * ((real > 0).float() + found_out)

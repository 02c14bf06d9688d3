"""The network of one posterior: trunks of modalities, fused, and a head."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor, nn

from mmvae.foundations.networks import Activation, mlp
from mmvae.models.by_modality import ByModality
from mmvae.models.heads import HeadBuilder, Variance, last_layer, posterior
from mmvae.models.posteriors import Posterior

Fusion = Literal["dense", "linear"]

Presence = Mapping[str, Tensor]
"""Modality → mask of the items that have it, bool (b,); only modalities that may be missing."""


class PosteriorNetwork(nn.Module):
    """q(z|x_S): a trunk per modality of S, concatenated, fused, and two linear heads.

    With missing modalities it is q(z|x_O, O): its input is the mask of the modalities O that an
    item has, and their features only (T13).

    Args:
        trunks: Modality → trunk (b, event…) → (b, feature_dim).
        feature_dims: Modality → width of its features.
        latent_dim: d.
        fusion: ``"dense"``: one hidden layer over the concatenated features, as in the paper's
            code; ``"linear"``: the heads take the concatenated features, as in its text.
        fusion_dim: Width of that hidden layer.
        act: Its activation.
        variance: See :func:`gaussian`.
        gaps: True if items may lack modalities.
        shaped: Builds the head of a family; default: diagonal Gaussians.
    """

    def __init__(
        self,
        trunks: Mapping[str, nn.Module],
        feature_dims: Mapping[str, int],
        latent_dim: int,
        fusion: Fusion,
        fusion_dim: int,
        act: Activation,
        variance: Variance,
        gaps: bool = False,
        shaped: HeadBuilder | None = None,
    ) -> None:
        super().__init__()
        self.trunks = ByModality(trunks)
        seen = sum(feature_dims.values()) + len(feature_dims) * gaps
        self.fusion = mlp(seen, [fusion_dim] * (fusion == "dense"), act)
        width = fusion_dim if fusion == "dense" else seen
        self.heads = last_layer(width, latent_dim, shaped)
        self.variance: Variance = variance
        self.sees_presence = gaps

    def forward(self, x: Mapping[str, Tensor], present: Presence | None = None) -> Posterior:
        """Map modality → input (b, event…) to q(z|x_S) with batch shape (b,)."""
        features = {name: trunk(x[name]) for name, trunk in self.trunks.items()}
        shown = list(zero_missing(features, present or {}).values())
        if self.sees_presence:
            shown.append(self._pattern(shown[0], present or {}))
        return posterior(self.heads(self.fusion(torch.cat(shown, -1))), self.variance)

    @torch.no_grad()
    def start_at(self, variance: float) -> None:
        """Scale the initial σ² of Gaussian posteriors by this factor (up to 1)."""
        assert isinstance(self.heads, nn.Linear)
        raw = math.log(variance)
        if self.variance == "softplus":  # softplus(0) = log 2 is its initial value
            raw = math.log(math.expm1(variance * math.log(2)))
        self.heads.bias.chunk(2)[1].add_(raw)

    def _pattern(self, like: Tensor, present: Presence) -> Tensor:
        """The modalities that items have, as 0 and 1, (b, N)."""
        whole = torch.ones(len(like), dtype=torch.bool, device=like.device)
        return torch.stack([present.get(m, whole) for m in self.trunks], -1).to(like.dtype)


def zero_missing(features: Mapping[str, Tensor], present: Presence) -> dict[str, Tensor]:
    """Set the features (b, f) of missing modalities to zeros."""
    return {
        m: torch.where(present[m].unsqueeze(1), f, 0.0) if m in present else f
        for m, f in features.items()
    }

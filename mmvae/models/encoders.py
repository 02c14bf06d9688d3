"""Encoders: the networks of the joint posterior q(z|x_M) and the subset posteriors q(z|x_S)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from mmvae.codec import Codec
from mmvae.models.heads import MaskedHead, SubsetHeads, Variance, gaussian
from mmvae.models.protocol import ByModality
from mmvae.networks import Activation, mlp
from mmvae.posteriors import DiagonalGaussian
from mmvae.subsets import Subset

Fusion = Literal["dense", "linear"]


class PosteriorNetwork(nn.Module):
    """q(z|x_S): a trunk per modality of S, concatenated, fused, and two linear heads.

    With gaps it is q(z|x_O, O): it also sees which modalities O of S an item has, and nothing of
    what it lacks (T13).

    Args:
        trunks: Modality → trunk (b, event…) → (b, feature_dim).
        feature_dims: Modality → width of its features.
        latent_dim: d.
        fusion: ``"dense"``: one hidden layer over the concatenated features, as the paper's code
            has it; ``"linear"``: the heads sit on the concatenated features, as its text reads.
        fusion_dim: Width of that hidden layer.
        act: Its activation.
        variance: See :func:`gaussian`.
        gaps: Whether items may lack modalities.
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
    ) -> None:
        super().__init__()
        self.trunks = ByModality(trunks)
        seen = sum(feature_dims.values()) + len(feature_dims) * gaps
        self.fusion = mlp(seen, [fusion_dim] * (fusion == "dense"), act)
        width = fusion_dim if fusion == "dense" else seen
        self.heads = nn.Linear(width, 2 * latent_dim)
        self.variance: Variance = variance
        self.gaps = gaps

    def forward(
        self, x: Mapping[str, Tensor], present: Presence | None = None
    ) -> DiagonalGaussian:
        """Modality → input (b, event…) to q(z|x_S) with batch shape (b,)."""
        features = {name: trunk(x[name]) for name, trunk in self.trunks.items()}
        shown = list(between_gaps(features, present or {}).values())
        if self.gaps:
            shown.append(self._pattern(shown[0], present or {}))
        return gaussian(self.heads(self.fusion(torch.cat(shown, -1))), self.variance)

    def _pattern(self, like: Tensor, present: Presence) -> Tensor:
        """Which modalities items have, as 0 and 1, (b, N)."""
        whole = torch.ones(len(like), dtype=torch.bool, device=like.device)
        return torch.stack([present.get(m, whole) for m in self.trunks], -1).to(like.dtype)


def between_gaps(features: Mapping[str, Tensor], present: Presence) -> dict[str, Tensor]:
    """Features (b, f) of modalities, zeros for what items lack."""
    return {
        m: torch.where(present[m].unsqueeze(1), f, 0.0) if m in present else f
        for m, f in features.items()
    }


NetworkBuilder = Callable[[Mapping[str, nn.Module], Mapping[str, int], bool], PosteriorNetwork]
HeadsBuilder = Callable[[Sequence[Subset], Subset, int], SubsetHeads | MaskedHead]
Presence = Mapping[str, Tensor]
"""Modality → which items have it, bool (b,), for those that some item may lack."""


class SeparateEncoders(nn.Module):
    """Joint and subset posteriors, each with trunks of its own (the paper).

    Args:
        codecs: Modality → codec.
        subsets: The subsets with a posterior of their own.
        network: Builds a :class:`PosteriorNetwork` from trunks, feature widths and whether items
            may lack modalities.
        gaps: Whether they may.
    """

    def __init__(
        self,
        codecs: Mapping[str, Codec],
        subsets: Sequence[Subset],
        network: NetworkBuilder,
        gaps: bool = False,
    ) -> None:
        super().__init__()

        def build(subset: Subset, gaps: bool = False) -> PosteriorNetwork:
            trunks = {m: codecs[m].encoder() for m in subset}
            return network(trunks, {m: codecs[m].feature_dim for m in subset}, gaps)

        self.joint_posterior = build(tuple(codecs), gaps)
        self.subset_posteriors = nn.ModuleList(build(s) for s in subsets)

    def joint(self, x: Mapping[str, Tensor], present: Presence | None = None) -> DiagonalGaussian:
        """q(z|x_M), or q(z|x_O, O) of items that lack some; batch shape (b,)."""
        return self.joint_posterior(x, present)  # type: ignore[no-any-return]

    def subset(
        self, x: Mapping[str, Tensor], index: int, present: Presence | None = None
    ) -> DiagonalGaussian:
        """q(z|x_S) for one trained subset; ``x`` needs hold the modalities of S only."""
        return self.subset_posteriors[index](x, present)  # type: ignore[no-any-return]

    def forward(
        self, x: Mapping[str, Tensor], drawn: Sequence[int], present: Presence | None = None
    ) -> tuple[DiagonalGaussian, DiagonalGaussian | None]:
        """The joint posterior and the drawn subset posteriors, batch shape (n, b)."""
        drawn_posteriors = [self.subset(x, k, present) for k in drawn]
        if not drawn_posteriors:
            return self.joint(x, present), None
        return self.joint(x, present), DiagonalGaussian(
            torch.stack([q.mean for q in drawn_posteriors]),
            torch.stack([q.log_variance for q in drawn_posteriors]),
        )


class SharedEncoders(nn.Module):
    """One trunk per modality, shared by the joint posterior and by narrow subset heads.

    The joint posterior sees the full features; the subset heads see a narrow projection of them,
    so that 254 subsets of eight modalities do not outweigh the model.

    Args:
        codecs: Modality → codec.
        subsets: The subsets with a posterior of their own.
        network: Builds the joint :class:`PosteriorNetwork`.
        feature_dim: Width of the narrow features.
        heads: Builds the :class:`SubsetHeads` or the :class:`MaskedHead`.
        gaps: Whether items may lack modalities.
    """

    def __init__(
        self,
        codecs: Mapping[str, Codec],
        subsets: Sequence[Subset],
        network: NetworkBuilder,
        feature_dim: int,
        heads: HeadsBuilder,
        gaps: bool = False,
    ) -> None:
        super().__init__()
        self.modalities: Subset = tuple(codecs)
        self.subsets = list(subsets)
        self.trunks = ByModality({m: codec.encoder() for m, codec in codecs.items()})
        identities: dict[str, nn.Module] = {m: nn.Identity() for m in codecs}
        widths = {m: codec.feature_dim for m, codec in codecs.items()}
        self.joint_posterior = network(identities, widths, gaps)
        self.narrow = ByModality(
            {m: nn.Linear(codec.feature_dim, feature_dim) for m, codec in codecs.items()}
            if subsets
            else {}
        )
        self.subset_heads = heads(self.subsets, self.modalities, feature_dim) if subsets else None
        self.feature_dim = feature_dim

    def joint(self, x: Mapping[str, Tensor], present: Presence | None = None) -> DiagonalGaussian:
        """q(z|x_M), or q(z|x_O, O) of items that lack some; batch shape (b,)."""
        features = {m: self.trunks[m](x[m]) for m in self.modalities}
        return self.joint_posterior(features, present)  # type: ignore[no-any-return]

    def subset(self, x: Mapping[str, Tensor], index: int) -> DiagonalGaussian:
        """q(z|x_S) for one trained subset; ``x`` needs hold the modalities of S only."""
        here = self.subsets[index]
        known = {m: self.narrow[m](self.trunks[m](x[m])) for m in here}
        blank = torch.zeros_like(known[here[0]])
        features = torch.cat([known.get(m, blank) for m in self.modalities], -1)
        assert self.subset_heads is not None
        posterior = self.subset_heads(features, [index])
        return DiagonalGaussian(posterior.mean[0], posterior.log_variance[0])

    def forward(
        self, x: Mapping[str, Tensor], drawn: Sequence[int], present: Presence | None = None
    ) -> tuple[DiagonalGaussian, DiagonalGaussian | None]:
        """The joint posterior and the drawn subset posteriors, batch shape (n, b)."""
        features = {m: self.trunks[m](x[m]) for m in self.modalities}
        features = between_gaps(features, present or {})
        joint = self.joint_posterior(features, present)
        if not drawn:
            return joint, None
        assert self.subset_heads is not None
        narrow = torch.cat([self.narrow[m](features[m]) for m in self.modalities], -1)
        return joint, self.subset_heads(narrow, drawn)

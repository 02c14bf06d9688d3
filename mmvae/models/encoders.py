"""Encoders: the networks of the joint posterior q(z|x_M) and the subset posteriors q(z|x_S)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mmvae.codec import Codec
from mmvae.models.protocol import ByModality
from mmvae.networks import Activation, activation, mlp
from mmvae.posteriors import DiagonalGaussian
from mmvae.subsets import Subset

Fusion = Literal["dense", "linear"]
Variance = Literal["exp", "softplus"]


def gaussian(raw: Tensor, variance: Variance) -> DiagonalGaussian:
    """Split a head's output (…, 2d) into mean and log σ², in float32.

    ``variance`` says what the second half is: log σ² (``"exp"``) or the argument of
    σ² = softplus(·) (``"softplus"``, the paper's code).
    """
    mean, spread = (raw.float() if raw.dtype.itemsize < 4 else raw).chunk(2, dim=-1)
    return DiagonalGaussian(mean, spread if variance == "exp" else log_softplus(spread))


def log_softplus(a: Tensor) -> Tensor:
    """Log softplus(a), elementwise, finite for every finite ``a``.

    Far below zero softplus(a) is exp(a), which underflows; its logarithm is ``a`` to float32.
    """
    return torch.where(a < -15.0, a, F.softplus(a.clamp(min=-15.0)).log())


class PosteriorNetwork(nn.Module):
    """q(z|x_S): a trunk per modality of S, concatenated, fused, and two linear heads.

    Args:
        trunks: Modality → trunk (b, event…) → (b, feature_dim).
        feature_dims: Modality → width of its features.
        latent_dim: d.
        fusion: ``"dense"``: one hidden layer over the concatenated features, as the paper's code
            has it; ``"linear"``: the heads sit on the concatenated features, as its text reads.
        fusion_dim: Width of that hidden layer.
        act: Its activation.
        variance: See :func:`gaussian`.
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
    ) -> None:
        super().__init__()
        self.trunks = ByModality(trunks)
        self.fusion = mlp(sum(feature_dims.values()), [fusion_dim] * (fusion == "dense"), act)
        width = fusion_dim if fusion == "dense" else sum(feature_dims.values())
        self.heads = nn.Linear(width, 2 * latent_dim)
        self.variance: Variance = variance

    def forward(self, x: Mapping[str, Tensor]) -> DiagonalGaussian:
        """Modality → input (b, event…) to q(z|x_S) with batch shape (b,)."""
        features = [trunk(x[name]) for name, trunk in self.trunks.items()]
        return gaussian(self.heads(self.fusion(torch.cat(features, -1))), self.variance)


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
        inside = torch.tensor([[float(m in s) for m in modalities] for s in subsets])
        self.register_buffer("mask", inside.repeat_interleave(feature_dim, 1), persistent=False)
        count, width = len(subsets), feature_dim * len(modalities)
        self.hidden = nn.Parameter(torch.empty(count, width, hidden_dim))
        self.hidden_bias = nn.Parameter(torch.zeros(count, 1, hidden_dim))
        self.heads = nn.Parameter(torch.empty(count, hidden_dim, 2 * latent_dim))
        self.heads_bias = nn.Parameter(torch.zeros(count, 1, 2 * latent_dim))
        self.act, self.variance = activation(act), variance
        with torch.no_grad():  # nn.Linear's bounds, for the inputs that a subset has
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


NetworkBuilder = Callable[[Mapping[str, nn.Module], Mapping[str, int]], PosteriorNetwork]
HeadsBuilder = Callable[[Sequence[Subset], Subset, int], SubsetHeads]


class SeparateEncoders(nn.Module):
    """Joint and subset posteriors, each with trunks of its own (the paper).

    Args:
        codecs: Modality → codec.
        subsets: The subsets with a posterior of their own.
        network: Builds a :class:`PosteriorNetwork` from trunks and feature widths.
    """

    def __init__(
        self, codecs: Mapping[str, Codec], subsets: Sequence[Subset], network: NetworkBuilder
    ) -> None:
        super().__init__()

        def build(subset: Subset) -> PosteriorNetwork:
            trunks = {m: codecs[m].encoder() for m in subset}
            return network(trunks, {m: codecs[m].feature_dim for m in subset})

        self.joint_posterior = build(tuple(codecs))
        self.subset_posteriors = nn.ModuleList(build(s) for s in subsets)

    def joint(self, x: Mapping[str, Tensor]) -> DiagonalGaussian:
        """q(z|x_M), batch shape (b,)."""
        return self.joint_posterior(x)  # type: ignore[no-any-return]

    def subset(self, x: Mapping[str, Tensor], index: int) -> DiagonalGaussian:
        """q(z|x_S) for one trained subset; ``x`` needs hold the modalities of S only."""
        return self.subset_posteriors[index](x)  # type: ignore[no-any-return]

    def forward(
        self, x: Mapping[str, Tensor], drawn: Sequence[int]
    ) -> tuple[DiagonalGaussian, DiagonalGaussian | None]:
        """The joint posterior and the drawn subset posteriors, batch shape (n, b)."""
        drawn_posteriors = [self.subset(x, k) for k in drawn]
        if not drawn_posteriors:
            return self.joint(x), None
        return self.joint(x), DiagonalGaussian(
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
        heads: Builds the :class:`SubsetHeads`.
    """

    def __init__(
        self,
        codecs: Mapping[str, Codec],
        subsets: Sequence[Subset],
        network: NetworkBuilder,
        feature_dim: int,
        heads: HeadsBuilder,
    ) -> None:
        super().__init__()
        self.modalities: Subset = tuple(codecs)
        self.subsets = list(subsets)
        self.trunks = ByModality({m: codec.encoder() for m, codec in codecs.items()})
        identities: dict[str, nn.Module] = {m: nn.Identity() for m in codecs}
        self.joint_posterior = network(identities, {m: c.feature_dim for m, c in codecs.items()})
        self.narrow = ByModality(
            {m: nn.Linear(codec.feature_dim, feature_dim) for m, codec in codecs.items()}
            if subsets
            else {}
        )
        self.subset_heads = heads(self.subsets, self.modalities, feature_dim) if subsets else None
        self.feature_dim = feature_dim

    def joint(self, x: Mapping[str, Tensor]) -> DiagonalGaussian:
        """q(z|x_M), batch shape (b,)."""
        features = {m: self.trunks[m](x[m]) for m in self.modalities}
        return self.joint_posterior(features)  # type: ignore[no-any-return]

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
        self, x: Mapping[str, Tensor], drawn: Sequence[int]
    ) -> tuple[DiagonalGaussian, DiagonalGaussian | None]:
        """The joint posterior and the drawn subset posteriors, batch shape (n, b)."""
        features = {m: self.trunks[m](x[m]) for m in self.modalities}
        joint = self.joint_posterior(features)
        if not drawn:
            return joint, None
        assert self.subset_heads is not None
        narrow = torch.cat([self.narrow[m](features[m]) for m in self.modalities], -1)
        return joint, self.subset_heads(narrow, drawn)

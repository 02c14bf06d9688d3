"""Encoders: the networks of the joint posterior q(z|x_M) and the subset posteriors q(z|x_S)."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn

from mmvae.foundations.networks import Activation, mlp
from mmvae.modalities.codec import Codec
from mmvae.modalities.subsets import Subset
from mmvae.models.base import ByModality
from mmvae.models.heads import (
    HeadBuilder,
    MaskedHead,
    SubsetHeads,
    Variance,
    last_layer,
    posterior,
)
from mmvae.models.posteriors import DiagonalGaussian, Posterior, closed_form, kl_divergence

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
        shaped: Builds the head of a family; of diagonal Gaussians unless given.
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
        self.gaps = gaps

    def forward(self, x: Mapping[str, Tensor], present: Presence | None = None) -> Posterior:
        """Modality → input (b, event…) to q(z|x_S) with batch shape (b,)."""
        features = {name: trunk(x[name]) for name, trunk in self.trunks.items()}
        shown = list(between_gaps(features, present or {}).values())
        if self.gaps:
            shown.append(self._pattern(shown[0], present or {}))
        return posterior(self.heads(self.fusion(torch.cat(shown, -1))), self.variance)

    @torch.no_grad()
    def start_at(self, variance: float) -> None:
        """Begin with this many times (up to 1) the σ² that Gaussian posteriors would have."""
        assert isinstance(self.heads, nn.Linear)
        raw = math.log(variance)
        if self.variance == "softplus":  # of which 0, where it begins, makes log 2
            raw = math.log(math.expm1(variance * math.log(2)))
        self.heads.bias.chunk(2)[1].add_(raw)

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


NetworkBuilder = Callable[
    [Mapping[str, nn.Module], Mapping[str, int], bool, bool], PosteriorNetwork
]
HeadsBuilder = Callable[[Sequence[Subset], Subset, int, bool], SubsetHeads | MaskedHead]
Presence = Mapping[str, Tensor]
"""Modality → which items have it, bool (b,), for those that some item may lack."""


class DrawnPosteriors:
    """The posteriors of n drawn subsets, of one family or of several.

    Args:
        groups: Places among the drawn, with the posteriors of those subsets, batch shape (n', b);
            or one place, with a posterior of batch shape (b,).
    """

    def __init__(self, groups: Sequence[tuple[int | Sequence[int], Posterior]]) -> None:
        self.groups = groups

    def divergences(self, joint: Posterior, z: Tensor) -> Tensor:
        """KL(q(z|x_M) ‖ q_S(z|x_S)) of each, nats, shape (n, b).

        By the sample ``z`` of the joint posterior, (b, d), where there is no closed form (T14).
        """
        rows: dict[int, Tensor] = {}
        for places, q in self.groups:
            if isinstance(places, int):
                rows[places] = kl_divergence(joint, q, z)
                continue
            nats = closed_form(joint, q)
            if nats is None:
                nats = joint.log_prob(z) - q.log_prob(z.expand(len(places), *z.shape))
            if len(self.groups) == 1:
                return nats
            rows |= dict(zip(places, nats.unbind(), strict=True))
        return torch.stack([rows[place] for place in range(len(rows))])


class SeparateEncoders(nn.Module):
    """Joint and subset posteriors, each with trunks of its own (the paper).

    Args:
        codecs: Modality → codec.
        subsets: The subsets with a posterior of their own.
        shaped: Which of them are of the chosen family; the others are diagonal Gaussians.
        network: Builds a :class:`PosteriorNetwork` from trunks, feature widths, whether items
            may lack modalities, and whether it is of the family.
        gaps: Whether they may.
    """

    def __init__(
        self,
        codecs: Mapping[str, Codec],
        subsets: Sequence[Subset],
        shaped: Sequence[bool],
        network: NetworkBuilder,
        gaps: bool = False,
    ) -> None:
        super().__init__()

        def build(subset: Subset, gaps: bool = False, shaped: bool = False) -> PosteriorNetwork:
            trunks = {m: codecs[m].encoder() for m in subset}
            return network(trunks, {m: codecs[m].feature_dim for m in subset}, gaps, shaped)

        self.shaped = list(shaped)
        self.joint_posterior = build(tuple(codecs), gaps)
        pairs = zip(subsets, shaped, strict=True)
        self.subset_posteriors = nn.ModuleList(build(s, shaped=own) for s, own in pairs)

    def joint(self, x: Mapping[str, Tensor], present: Presence | None = None) -> DiagonalGaussian:
        """q(z|x_M), or q(z|x_O, O) of items that lack some; batch shape (b,)."""
        return self.joint_posterior(x, present)  # type: ignore[no-any-return]

    def subset(
        self, x: Mapping[str, Tensor], index: int, present: Presence | None = None
    ) -> Posterior:
        """q(z|x_S) for one trained subset; ``x`` needs hold the modalities of S only."""
        return self.subset_posteriors[index](x, present)  # type: ignore[no-any-return]

    def forward(
        self, x: Mapping[str, Tensor], drawn: Sequence[int], present: Presence | None = None
    ) -> tuple[DiagonalGaussian, DrawnPosteriors | None]:
        """The joint posterior, batch shape (b,), and those of the drawn subsets."""
        found = {place: self.subset(x, k, present) for place, k in enumerate(drawn)}
        if not found:
            return self.joint(x, present), None
        plain: dict[int, Any] = {p: q for p, q in found.items() if not self.shaped[drawn[p]]}
        groups: list[tuple[int | Sequence[int], Posterior]]
        groups = [(p, q) for p, q in found.items() if self.shaped[drawn[p]]]
        if plain:
            together = DiagonalGaussian(
                torch.stack([q.mean for q in plain.values()]),
                torch.stack([q.log_variance for q in plain.values()]),
            )
            groups.insert(0, (list(plain), together))
        return self.joint(x, present), DrawnPosteriors(groups)

    def weights_of_family(self) -> list[str]:
        """What the names of the weights of posteriors of the family begin with."""
        return [f"subset_posteriors.{k}." for k, own in enumerate(self.shaped) if own]


class SharedEncoders(nn.Module):
    """One trunk per modality, shared by all subset posteriors, and by the joint one if wished.

    The joint posterior sees the full features; the subset heads see a narrow projection of them,
    so that 254 subsets of eight modalities do not outweigh the model.

    Args:
        codecs: Modality → codec.
        subsets: The subsets with a posterior of their own.
        shaped: Which of them are of the chosen family: one masked head serves these.
        network: Builds the joint :class:`PosteriorNetwork`.
        feature_dim: Width of the narrow features.
        heads: Builds the :class:`SubsetHeads` or the :class:`MaskedHead` of some subsets, and
            says with its last argument whether they are of the family.
        gaps: Whether items may lack modalities.
        apart: Whether the joint posterior has trunks of its own: what it must know of a picture
            to make it again is not what the picture tells of the rest.
    """

    def __init__(
        self,
        codecs: Mapping[str, Codec],
        subsets: Sequence[Subset],
        shaped: Sequence[bool],
        network: NetworkBuilder,
        feature_dim: int,
        heads: HeadsBuilder,
        gaps: bool = False,
        apart: bool = False,
    ) -> None:
        super().__init__()
        self.modalities: Subset = tuple(codecs)
        self.subsets = list(subsets)
        self.trunks = ByModality({m: codec.encoder() for m, codec in codecs.items()})
        own: dict[str, nn.Module] = {
            m: codec.encoder() if apart else nn.Identity() for m, codec in codecs.items()
        }
        widths = {m: codec.feature_dim for m, codec in codecs.items()}
        self.joint_posterior, self.apart = network(own, widths, gaps, False), apart
        self.narrow = ByModality(
            {m: nn.Linear(codec.feature_dim, feature_dim) for m, codec in codecs.items()}
            if subsets
            else {}
        )
        self.of_family = places(k for k, own in enumerate(shaped) if own)
        self.plain = places(k for k, own in enumerate(shaped) if not own)

        def built(members: Mapping[int, int], own: bool) -> SubsetHeads | MaskedHead | None:
            theirs = [self.subsets[k] for k in members]
            return heads(theirs, self.modalities, feature_dim, own) if theirs else None

        self.subset_heads = built(self.plain, False)
        self.family_head = built(self.of_family, True)
        self.feature_dim = feature_dim

    def joint(self, x: Mapping[str, Tensor], present: Presence | None = None) -> DiagonalGaussian:
        """q(z|x_M), or q(z|x_O, O) of items that lack some; batch shape (b,)."""
        seen = x if self.apart else self._features(x)
        return self.joint_posterior(seen, present)  # type: ignore[no-any-return]

    def subset(self, x: Mapping[str, Tensor], index: int) -> Posterior:
        """q(z|x_S) for one trained subset; ``x`` needs hold the modalities of S only."""
        here = self.subsets[index]
        known = {m: self.narrow[m](self.trunks[m](x[m])) for m in here}
        blank = torch.zeros_like(known[here[0]])
        features = torch.cat([known.get(m, blank) for m in self.modalities], -1)
        for members, head in self._heads():
            if index in members:
                return head.one(features, members[index])
        raise AssertionError(f"subset {index} has no head")

    def forward(
        self, x: Mapping[str, Tensor], drawn: Sequence[int], present: Presence | None = None
    ) -> tuple[DiagonalGaussian, DrawnPosteriors | None]:
        """The joint posterior, batch shape (b,), and those of the drawn subsets."""
        if not drawn:
            return self.joint(x, present), None
        features = between_gaps(self._features(x), present or {})
        joint = self.joint_posterior(x if self.apart else features, present)
        narrow = torch.cat([self.narrow[m](features[m]) for m in self.modalities], -1)
        groups: list[tuple[int | Sequence[int], Posterior]] = []
        for members, head in self._heads():
            here = [place for place, k in enumerate(drawn) if k in members]
            if here:
                groups.append((here, head(narrow, [members[drawn[p]] for p in here])))
        return joint, DrawnPosteriors(groups)

    def _features(self, x: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """What the shared trunks make of every modality, (b, feature_dim) each."""
        return {m: self.trunks[m](x[m]) for m in self.modalities}

    def _heads(self) -> list[tuple[Mapping[int, int], SubsetHeads | MaskedHead]]:
        """The heads that there are; the subsets that each serves, with their places in it."""
        pairs = ((self.plain, self.subset_heads), (self.of_family, self.family_head))
        return [(members, head) for members, head in pairs if head is not None]

    def weights_of_family(self) -> list[str]:
        """What the names of the weights of posteriors of the family begin with."""
        return ["family_head.", "subset_heads."] if self.of_family else []


def places(members: Iterable[int]) -> dict[int, int]:
    """Members, and the place of each among them."""
    return {k: place for place, k in enumerate(members)}

"""Encoders whose trunks all subset posteriors share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import torch
from torch import Tensor, nn

from mmvae.modalities.codec import Codec
from mmvae.modalities.subsets import Subset
from mmvae.models.by_modality import ByModality
from mmvae.models.heads import MaskedHead, SubsetHeads
from mmvae.models.posterior_network import Presence, zero_missing
from mmvae.models.posteriors import DiagonalGaussian, Posterior
from mmvae.models.separate_encoders import NetworkBuilder
from mmvae.models.subset_posteriors import SubsetPosteriors

HeadsBuilder = Callable[[Sequence[Subset], Subset, int, bool], SubsetHeads | MaskedHead]


class SharedEncoders(nn.Module):
    """One trunk per modality, shared by all subset posteriors, and by the joint one if wished.

    The joint posterior sees the full features; the subset heads see a narrow projection of them,
    so that 254 subsets of eight modalities do not outweigh the model.

    Args:
        codecs: Modality → codec.
        subsets: The subsets with a posterior of their own.
        shaped: For each, True if it is of the chosen family: one masked head serves these.
        network: Builds the joint :class:`PosteriorNetwork`.
        feature_dim: Width of the narrow features.
        heads: Builds the :class:`SubsetHeads` or the :class:`MaskedHead` of some subsets; its
            last argument is True if they are of the family.
        missing: True if items may lack modalities.
        apart: True if the joint posterior has trunks of its own. Most of the information needed to
            reconstruct an image does not help to predict the other modalities.
    """

    def __init__(
        self,
        codecs: Mapping[str, Codec],
        subsets: Sequence[Subset],
        shaped: Sequence[bool],
        network: NetworkBuilder,
        feature_dim: int,
        heads: HeadsBuilder,
        missing: bool = False,
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
        self.joint_posterior, self.apart = network(own, widths, missing, False), apart
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
        """q(z|x_M), or q(z|x_O, O) for items with missing modalities; batch shape (b,)."""
        seen = x if self.apart else self._features(x)
        return self.joint_posterior(seen, present)  # type: ignore[no-any-return]

    def subset(self, x: Mapping[str, Tensor], index: int) -> Posterior:
        """q(z|x_S) for one trained subset; ``x`` must hold the modalities of S."""
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
    ) -> tuple[DiagonalGaussian, SubsetPosteriors | None]:
        """The joint posterior, batch shape (b,), and those of the drawn subsets."""
        if not drawn:
            return self.joint(x, present), None
        features = zero_missing(self._features(x), present or {})
        joint = self.joint_posterior(x if self.apart else features, present)
        narrow = torch.cat([self.narrow[m](features[m]) for m in self.modalities], -1)
        groups: list[tuple[int | Sequence[int], Posterior]] = []
        for members, head in self._heads():
            here = [place for place, k in enumerate(drawn) if k in members]
            if here:
                groups.append((here, head(narrow, [members[drawn[p]] for p in here])))
        return joint, SubsetPosteriors(groups)

    def _features(self, x: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Features of every modality from the shared trunks, (b, feature_dim) each."""
        return {m: self.trunks[m](x[m]) for m in self.modalities}

    def _heads(self) -> list[tuple[Mapping[int, int], SubsetHeads | MaskedHead]]:
        """The existing heads, each with its subsets and their indices in the head."""
        pairs = ((self.plain, self.subset_heads), (self.of_family, self.family_head))
        return [(members, head) for members, head in pairs if head is not None]

    def weights_of_family(self) -> list[str]:
        """Name prefixes of the weights of posteriors of the family."""
        return ["family_head.", "subset_heads."] if self.of_family else []


def places(members: Iterable[int]) -> dict[int, int]:
    """Each member → its index among the members."""
    return {k: place for place, k in enumerate(members)}

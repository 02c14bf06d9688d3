"""Encoders of joint and subset posteriors that share nothing, as in the paper."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from mmvae.modalities.codec import Codec
from mmvae.modalities.subsets import Subset
from mmvae.models.posterior_network import PosteriorNetwork, Presence
from mmvae.models.posteriors import DiagonalGaussian, Posterior
from mmvae.models.subset_posteriors import SubsetPosteriors

NetworkBuilder = Callable[
    [Mapping[str, nn.Module], Mapping[str, int], bool, bool], PosteriorNetwork
]


class SeparateEncoders(nn.Module):
    """Joint and subset posteriors, each with trunks of its own (the paper).

    Args:
        codecs: Modality → codec.
        subsets: The subsets with a posterior of their own.
        shaped: For each, True if it is of the chosen family; the others are diagonal Gaussians.
        network: Builds a :class:`PosteriorNetwork` from trunks, feature widths and two flags:
            items may lack modalities; the posterior is of the family.
        missing: True if items may lack modalities.
    """

    def __init__(
        self,
        codecs: Mapping[str, Codec],
        subsets: Sequence[Subset],
        shaped: Sequence[bool],
        network: NetworkBuilder,
        missing: bool = False,
    ) -> None:
        super().__init__()

        def build(subset: Subset, missing: bool = False, shaped: bool = False) -> PosteriorNetwork:
            trunks = {m: codecs[m].encoder() for m in subset}
            return network(trunks, {m: codecs[m].feature_dim for m in subset}, missing, shaped)

        self.shaped = list(shaped)
        self.joint_posterior = build(tuple(codecs), missing)
        pairs = zip(subsets, shaped, strict=True)
        self.subset_posteriors = nn.ModuleList(build(s, shaped=own) for s, own in pairs)

    def joint(self, x: Mapping[str, Tensor], present: Presence | None = None) -> DiagonalGaussian:
        """q(z|x_M), or q(z|x_O, O) for items with missing modalities; batch shape (b,)."""
        return self.joint_posterior(x, present)  # type: ignore[no-any-return]

    def subset(
        self, x: Mapping[str, Tensor], index: int, present: Presence | None = None
    ) -> Posterior:
        """q(z|x_S) for one trained subset; ``x`` must hold the modalities of S."""
        return self.subset_posteriors[index](x, present)  # type: ignore[no-any-return]

    def forward(
        self, x: Mapping[str, Tensor], drawn: Sequence[int], present: Presence | None = None
    ) -> tuple[DiagonalGaussian, SubsetPosteriors | None]:
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
        return self.joint(x, present), SubsetPosteriors(groups)

    def weights_of_family(self) -> list[str]:
        """Name prefixes of the weights of posteriors of the family."""
        return [f"subset_posteriors.{k}." for k, own in enumerate(self.shaped) if own]

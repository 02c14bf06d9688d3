"""The posteriors q(z|x_S) of several subsets for the same items."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from mmvae.models.posteriors import Posterior, closed_form, kl_divergence


class SubsetPosteriors:
    """The posteriors of n drawn subsets, of one family or of several.

    Args:
        groups: Indices among the drawn subsets, with the posteriors of those subsets, batch shape
            (n', b); or one index, with a posterior of batch shape (b,).
    """

    def __init__(self, groups: Sequence[tuple[int | Sequence[int], Posterior]]) -> None:
        self.groups = groups

    def divergences(self, joint: Posterior, z: Tensor) -> Tensor:
        """KL(q(z|x_M) ‖ q_S(z|x_S)) of each, nats, shape (n, b).

        Where there is no closed form, the sample ``z`` of the joint posterior, (b, d), estimates
        it (T14).
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

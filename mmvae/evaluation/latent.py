"""The metric ``latent``: the distribution of the KL to the prior over the dimensions of z."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from mmvae.evaluation.diagnostics import dimension_kl, posterior_and_prior
from mmvae.evaluation.items import chunks
from mmvae.evaluation.metric import Metric, Specimen
from mmvae.models.posteriors import DiagonalGaussian


class LatentKL(Metric):
    """KL(q(z_d|x_M) ‖ p(z_d)) of the dimensions d of z with the largest and the smallest KL."""

    kind = "latent"

    @property
    def about(self) -> str:
        """See :attr:`mmvae.Metric.about`."""
        return (
            "KL of the joint posterior to the prior, nats per item, of single dimensions of z; a "
            "dimension with 0 is not in use."
        )

    def unavailable(self, specimen: Specimen) -> str | None:
        """See :meth:`mmvae.Metric.unavailable`."""
        q, p = posterior_and_prior(specimen.model, specimen.items.fixed(slice(0, 1)))
        diagonal = type(q) is DiagonalGaussian and type(p) is DiagonalGaussian
        return None if diagonal else "the posterior or the prior is no diagonal Gaussian"

    @torch.no_grad()
    def measure(self, specimen: Specimen) -> Mapping[str, Tensor]:
        """See :meth:`mmvae.Metric.measure`."""
        parts = []
        for batch, _ in chunks(specimen.items, specimen.batch_size, specimen.seed):
            kl = dimension_kl(*posterior_and_prior(specimen.model, batch))
            assert kl is not None
            parts.append(kl.cpu().double())
        kl = torch.cat(parts)
        order = kl.mean(0).argsort(descending=True)
        places = {"largest": order[0], "median": order[len(order) // 2], "smallest": order[-1]}
        return {f"{name} KL of a dimension": kl[:, d] for name, d in places.items()}

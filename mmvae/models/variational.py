"""Variational autoencoders: the base class of JMVAE and of models like it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn

from mmvae.data.batches import Batch
from mmvae.foundations.errors import UsageError
from mmvae.modalities.likelihoods.likelihood import Parameters
from mmvae.modalities.subsets import Subset, canonical, subset_name
from mmvae.models.base import Model
from mmvae.models.by_modality import ByModality
from mmvae.models.phase import Phase
from mmvae.models.posteriors import DiagonalGaussian


class VariationalModel(Model):
    """A latent variable z ~ N(0, I), and modalities that are independent given z (T1).

    A model of this kind builds its encoders and calls :meth:`build_decoders` in ``__init__``, and
    writes :meth:`~mmvae.Model.posterior` and :meth:`~mmvae.Model.objective`. Its config has the
    key ``latent_dim``. See :func:`mmvae.models.objective.elbo`.
    """

    decoders: ByModality

    def build_decoders(self) -> ByModality:
        """Build a decoder for each modality, from z (n, d) to parameters of p(x_m|z)."""
        return ByModality({m: codec.decoder(self.latent_dim) for m, codec in self.codecs.items()})

    @property
    def latent_dim(self) -> int:
        """Dimensions of z."""
        return int(self.config.latent_dim)

    def prior(self, given: Mapping[str, Tensor], b: int) -> DiagonalGaussian:
        """p(z) = N(0, I) with batch shape (b,); it conditions on nothing (T1)."""
        like = next(self.parameters())
        return DiagonalGaussian.standard(like.new_zeros(b, self.latent_dim, dtype=torch.float32))

    def parameters_of(self, modality: str, z: Tensor, given: Mapping[str, Tensor]) -> Parameters:
        """Decode flat latents (n, d) to the parameters of p(x_m | z)."""
        parameters: Parameters = self.decoders[modality](z)
        return parameters

    def log_likelihoods(self, batch: Batch, z: Tensor) -> dict[str, Tensor]:
        """Modality → log p(x_m|z), nats, (b,); 0 for items that lack m.

        Args:
            batch: b items.
            z: One sample of the posterior for each, (b, d).
        """
        return {
            m: self.log_likelihood(
                m, z, batch.x[m], batch.observed[m], present=batch.presence.get(m)
            )
            for m in self.modalities
        }

    def lacks_posterior(self, subset: Subset) -> str | None:
        """The reason why there is no q(z|x_S); None, the default, if there is one."""
        return None

    def supports(self, targets: Subset, given: Subset, proposal: Subset) -> str | None:
        """None if the likelihood query can be answered, else the reason why it cannot (T10)."""
        if set(targets) & set(given):
            return f"{subset_name(targets)} and {subset_name(given)} overlap."
        try:
            canonical((*targets, *given, *proposal), self.modalities)
        except UsageError as error:
            return str(error)
        return self.lacks_posterior(proposal)

    def phases(self) -> list[Phase]:
        """One phase for all parameters."""
        return [Phase(self.kind, [p for p in self.parameters() if p.requires_grad])]

    def compilable(self) -> Iterable[nn.Module]:
        """Every encoder trunk and decoder."""
        groups = [module for module in self.modules() if isinstance(module, ByModality)]
        return [network for group in groups for network in group.values()]

"""CMMA: the condition enters the prior, p(z|w), and the decoder sees z only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import Field
from torch import Tensor

from mmvae import ByModality, Codec, DiagonalGaussian, Parameters, kl_divergence
from mmvae_baselines.conditional import ConditionalConfig, ConditionalModel


class CMMAConfig(ConditionalConfig):
    """``[model]`` of a CMMA."""

    prior_penalty: Literal["none", "standard"] = Field(
        "none",
        description="'none': the bound, −β KL(q ‖ p(z|w)). 'standard' (the JMVAE authors' code): "
        "−KL(q ‖ p(z|w)) − β KL(q ‖ N(0, I)), which is not a bound.",
    )


class CMMA(ConditionalModel):
    """Conditional multimodal autoencoder (Pandey, Dukkipati 2016, arXiv:1603.01801).

    The prior p(z|w) is a learned diagonal Gaussian whose network has trunks of its own; w reaches
    x through z only. Trained on

        E_{q(z|x, w)} log p(x|z) − β KL(q(z|x, w) ‖ p(z|w))

    or, with ``prior_penalty = "standard"``, on

        E_{q(z|x, w)} log p(x|z) − KL(q(z|x, w) ‖ p(z|w)) − β KL(q(z|x, w) ‖ N(0, I))

    Args:
        config: Its ``[model]`` section.
        codecs: Modality → fitted codec, in the order of the configuration.
    """

    kind = "cmma"
    Config = CMMAConfig

    def __init__(self, config: CMMAConfig, codecs: Mapping[str, Codec]) -> None:
        super().__init__(config, codecs)
        self.prior_network = self.network(self.conditions)
        self.decoder = ByModality({self.target: self.codecs[self.target].decoder(self.latent_dim)})

    def prior(self, given: Mapping[str, Tensor], b: int) -> DiagonalGaussian:
        """p(z|w) with batch shape (b,)."""
        self.require(given)
        prior: DiagonalGaussian = self.prior_network(given)
        return prior

    def parameters_of(self, modality: str, z: Tensor, given: Mapping[str, Tensor]) -> Parameters:
        """Decode flat latents (n, d) to the parameters of p(x|z)."""
        self.require_target(modality)
        parameters: Parameters = self.decoder[modality](z)
        return parameters

    def penalty(self, q: DiagonalGaussian) -> Tensor | None:
        """KL(q ‖ N(0, I)) if the key requests it."""
        if self.config.prior_penalty == "none":
            return None
        return kl_divergence(q, DiagonalGaussian.standard(q.mean))

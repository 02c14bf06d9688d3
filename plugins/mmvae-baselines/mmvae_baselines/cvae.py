"""CVAE: the condition enters the decoder, p(x|z, w), and the prior is N(0, I)."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from mmvae import ByModality, Codec, DiagonalGaussian, Parameters, VariationalModel
from mmvae_baselines.conditional import ConditionalConfig, ConditionalModel


class CVAEConfig(ConditionalConfig):
    """``[model]`` of a CVAE."""


class CVAE(ConditionalModel):
    """Conditional VAE (Kingma et al. 2014, arXiv:1406.5298; Sohn, Lee, Yan 2015).

    The target's decoder sees [z, f_1(w_1), …, f_K(w_K)]: z beside the features of each condition
    from encoder trunks of the decoder's own. Trained on

        E_{q(z|x, w)} log p(x|z, w) − β KL(q(z|x, w) ‖ N(0, I))

    Args:
        config: Its ``[model]`` section.
        codecs: Modality → fitted codec, in the order of the configuration.
    """

    kind = "cvae"
    Config = CVAEConfig

    def __init__(self, config: CVAEConfig, codecs: Mapping[str, Codec]) -> None:
        super().__init__(config, codecs)
        self.features = ByModality({m: self.codecs[m].encoder() for m in self.conditions})
        width = self.latent_dim + sum(self.codecs[m].feature_dim for m in self.conditions)
        self.decoder = ByModality({self.target: self.codecs[self.target].decoder(width)})

    def prior(self, given: Mapping[str, Tensor], b: int) -> DiagonalGaussian:
        """N(0, I) with batch shape (b,), independent of w; but the decoder needs w to be given."""
        self.require(given)
        return VariationalModel.prior(self, given, b)

    def parameters_of(self, modality: str, z: Tensor, given: Mapping[str, Tensor]) -> Parameters:
        """Decode flat latents (n, d) with w (n, event…) to the parameters of p(x|z, w)."""
        self.require_target(modality)
        self.require(given)
        features = [network(given[m]) for m, network in self.features.items()]
        parameters: Parameters = self.decoder[modality](torch.cat([z, *features], -1))
        return parameters

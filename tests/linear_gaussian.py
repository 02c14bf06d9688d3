"""Linear-Gaussian models, whose posteriors and evidence are known in closed form.

x_m = A_m z + b_m + σ_m ε with orthogonal columns in each A_m, so that every posterior q(z|x_S) is
a diagonal Gaussian and a linear encoder can be set to it by hand.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn
from torch.distributions import Independent, MultivariateNormal, Normal

from mmvae.data.batches import Batch
from mmvae.foundations.randomness import StepDraws
from mmvae.modalities.codec import Codec
from mmvae.modalities.codec_config import CodecConfig
from mmvae.modalities.column import Column
from mmvae.models.jmvae import JMVAE
from mmvae.models.jmvae_config import JMVAEConfig


class LinearConfig(CodecConfig):
    dim: int = Field(3, ge=1, description="Dimensions of x.")
    sd: float = Field(1.0, gt=0, description="Standard deviation of the noise.")
    stand_in: float = Field(0.0, description="Every cell of the stand-in for a missing value.")


class LinearCodec(Codec):
    """p(x|z) = N(x; A z + b, σ² I); what the encoders see is x itself."""

    kind = "linear"
    Config = LinearConfig

    @property
    def event_shape(self) -> tuple[int, ...]:
        return (self.config.dim,)

    @property
    def feature_dim(self) -> int:
        return int(self.config.dim)

    def prepare(self, column: Column) -> tuple[Tensor, Tensor | None]:
        return torch.as_tensor(np.asarray(column.values), dtype=torch.float32), None

    def encoder(self) -> nn.Module:
        return nn.Identity()

    def decoder(self, input_dim: int) -> nn.Module:
        return nn.Linear(input_dim, self.config.dim)

    def likelihood(self, parameters: Tensor) -> Independent:
        sd = torch.full_like(parameters, self.config.sd)
        return Independent(Normal(parameters, sd, validate_args=False), 1)

    def point(self, likelihood: Independent) -> Tensor:
        return likelihood.mean

    def missing(self, b: int) -> Tensor:
        return torch.full((b, self.config.dim), self.config.stand_in)

    def restore(self, x: Tensor) -> Column:
        return Column(x.numpy())

    def parse(self, text: str) -> Column:
        return Column(np.array([[float(part) for part in text.split(",")]]))


def linear_codecs(**modalities: Mapping[str, Any]) -> dict[str, Codec]:
    return {name: LinearCodec(LinearConfig(**keys)) for name, keys in modalities.items()}


def jmvae(codecs: Mapping[str, Codec], seed: int = 0, **model: Any) -> JMVAE:
    """A small JMVAE with weights by ``seed``."""
    keys = {"latent_dim": 2, "fusion_dim": 7, "feature_dim": 4, "head_dim": 5} | model
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return JMVAE(JMVAEConfig(**keys), codecs)


@torch.no_grad()
def exact(model: JMVAE) -> JMVAE:
    """Set a JMVAE with linear fusion to orthogonal decoders and the exact posteriors."""
    d = model.latent_dim
    for decoder in model.decoders.values():
        nn.init.orthogonal_(decoder.weight).mul_(0.7)  # columns stay orthogonal
        nn.init.normal_(decoder.bias)
    networks = dict(zip(model.subsets, model.encoders.subset_posteriors, strict=True))
    for subset, network in {model.modalities: model.encoders.joint_posterior, **networks}.items():
        factors, precision, shift = [], torch.ones(d), torch.zeros(d)
        for m in subset:
            weight, variance = model.decoders[m].weight, model.codecs[m].config.sd ** 2
            factors.append(weight.T / variance)
            precision = precision + weight.square().sum(0) / variance
            shift = shift + weight.T @ model.decoders[m].bias / variance
        network.heads.weight.zero_()
        network.heads.weight[:d] = torch.cat(factors, 1) / precision[:, None]
        network.heads.bias[:d] = -shift / precision
        network.heads.bias[d:] = -precision.log()
    return model


def log_evidence(model: JMVAE, x: Mapping[str, Tensor], subset: Sequence[str]) -> Tensor:
    """log p(x_S), the closed form, shape (b,)."""
    weight = torch.cat([model.decoders[m].weight for m in subset]).double()
    mean = torch.cat([model.decoders[m].bias for m in subset]).double()
    dims = [model.codecs[m].event_shape[0] for m in subset]
    noise = [
        torch.full((n,), model.codecs[m].config.sd ** 2) for m, n in zip(subset, dims, strict=True)
    ]
    covariance = weight @ weight.T + torch.cat(noise).double().diag()
    together = torch.cat([x[m] for m in subset], 1).double()
    return MultivariateNormal(mean, covariance).log_prob(together)


def batch(x: Mapping[str, Tensor]) -> Batch:
    return Batch(dict(x), {m: None for m in x})


def step_draws(b: int, step: int = 0, seed: int = 0) -> StepDraws:
    return StepDraws(seed, "train", step, slice(0, b), b)

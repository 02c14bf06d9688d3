r"""Normalising flows as posteriors and priors: the family ``flow``.

.. math::
    z = \mu + \sigma \odot T^{-1}(\epsilon), \qquad \epsilon \sim N(0, I) \text{ or a mixture},

with location μ, scale σ and transforms T that depend on the context. T is a chain of masked
autoregressive transforms (Papamakarios et al. 2017, arXiv:1705.07057), affine or of
rational-quadratic splines (Durkan et al. 2019, arXiv:1906.04032), implemented by Zuko.
"""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from zuko.flows import MAF, NSF

from mmvae import Family, FamilyConfig, Posterior
from mmvae_flows.affine import Numbers, full, log_deviation
from mmvae_flows.mixture import MixtureHead


class FlowConfig(FamilyConfig):
    """Keys of a flow."""

    transforms: int = Field(5, ge=1, description="Number of transforms.")
    hidden: list[int] = Field(
        [256, 256],
        min_length=1,
        description="Widths of the hidden layers of each transform's network.",
    )
    univariate: Literal["affine", "spline"] = Field(
        "affine",
        description="Transform of one dimension. 'affine': scale and shift. 'spline': a monotonic "
        "rational-quadratic spline.",
    )
    bins: int = Field(
        8,
        ge=2,
        description="Number of pieces of each spline, with univariate = 'spline'.",
    )
    passes: Annotated[int, Field(ge=2)] | Literal["all"] = Field(
        2,
        description="Number of blocks of dimensions in a transform; each block depends on the "
        "earlier blocks. Sampling takes this many passes. 2 is a coupling. 'all' makes each "
        "dimension a block: the most flexible and the slowest to sample.",
    )
    components: int = Field(
        1,
        ge=1,
        description="Number of Gaussians in the base distribution. 1 is N(0, I); more help if the "
        "distribution has clusters.",
    )
    context: int = Field(
        64,
        ge=1,
        description="Number of features to which the features of a posterior's modalities are "
        "reduced.",
    )


class FlowPosterior(Posterior):
    """A flow over z, given what is known.

    Args:
        transform: T, from u = (z − μ)/σ to the base, a transform of Zuko.
        base: Distribution of T(u); None for N(0, I).
        location: μ, shape (…, d).
        log_scale: log σ, shape (…, d).
    """

    def __init__(
        self, transform: Any, base: Posterior | None, location: Tensor, log_scale: Tensor
    ) -> None:
        self.transform, self.base = transform, base
        self.location, self.log_scale = location, log_scale

    def rsample(self, noise: Tensor) -> Tensor:
        """See :meth:`mmvae.Posterior.rsample`: ``passes`` passes for each transform."""
        with exact(noise):
            noise = noise.to(self.location)
            return self._from_base(noise if self.base is None else self.base.rsample(noise))

    def log_prob(self, z: Tensor) -> Tensor:
        """See :meth:`mmvae.Posterior.log_prob`: one pass for each transform."""
        with exact(z):
            u = (full(z) - self.location) * (-self.log_scale).exp()
            end, slope = self.transform.call_and_ladj(u)
            if self.base is None:
                nats = -0.5 * (end.square() + math.log(2 * math.pi)).sum(-1)
            else:
                nats = self.base.log_prob(end)
            total: Tensor = nats + slope - self.log_scale.sum(-1)
            return total

    def point(self) -> Tensor:
        """The image under the flow of the base's point estimate, shape (…, d)."""
        with exact(self.location):
            start = torch.zeros_like(self.location) if self.base is None else self.base.point()
            return self._from_base(start)

    def _from_base(self, end: Tensor) -> Tensor:
        z: Tensor = self.location + self.log_scale.exp() * self.transform.inv(end)
        return z


def exact(like: Tensor) -> torch.autocast:
    """Disable autocast: densities need float32."""
    return torch.autocast(like.device.type, enabled=False)


class FlowHead(nn.Module):
    """Maps a context to a :class:`FlowPosterior`.

    Args:
        config: The family's keys.
        context_dim: Width of the context; 0 for none.
        latent_dim: d.
    """

    def __init__(self, config: FlowConfig, context_dim: int, latent_dim: int) -> None:
        super().__init__()
        self.narrow = nn.Linear(context_dim, config.context) if context_dim else None
        self.location = Numbers(context_dim, torch.zeros(latent_dim))
        self.log_scale = Numbers(context_dim, torch.zeros(latent_dim))
        keys: dict[str, Any] = {
            "features": latent_dim,
            "context": config.context if context_dim else 0,
            "transforms": config.transforms,
            "hidden_features": config.hidden,
        }
        if config.passes != "all":
            keys["passes"] = config.passes
        if config.univariate == "spline":
            self.flow: nn.Module = NSF(bins=config.bins, **keys)
        else:
            self.flow = MAF(**keys)
        many = config.components > 1
        self.base = MixtureHead(config.components, 0, latent_dim) if many else None

    def begin(self, samples: Tensor, points: Tensor) -> None:
        """Set location and scale of a prior to those of samples (n, d)."""
        location, scale = samples.mean(0), samples.std(0).clamp(min=1e-3)
        self.location.start.copy_(location)
        self.log_scale.start.copy_(scale.log())
        if self.base is not None:
            self.base.begin((samples - location) / scale, (points - location) / scale)

    def forward(self, context: Tensor) -> FlowPosterior:
        """Context (…, c) → batch shape (…)."""
        location, log_scale = self.location(context), log_deviation(self.log_scale(context))
        seen = None if self.narrow is None else full(self.narrow(context))
        base = None if self.base is None else self.base(context[..., :0])
        return FlowPosterior(self.flow(seen).transform, base, location, log_scale)


class Flow(Family):
    """Normalising flows."""

    kind = "flow"
    Config = FlowConfig

    def head(self, context_dim: int, latent_dim: int) -> FlowHead:
        """See :meth:`mmvae.Family.head`."""
        return FlowHead(self.config, context_dim, latent_dim)

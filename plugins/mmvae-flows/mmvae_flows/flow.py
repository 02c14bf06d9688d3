r"""Normalising flows as posteriors and priors: the family ``flow``.

.. math::
    z = \mu + \sigma \odot T^{-1}(\epsilon), \qquad \epsilon \sim N(0, I),

with location μ, scale σ and the transforms T of what is known. T is a chain of masked
autoregressive transforms (Papamakarios et al. 2017, arXiv:1705.07057), affine or of
rational-quadratic splines (Durkan et al. 2019, arXiv:1906.04032), as Zuko has them.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from zuko.distributions import NormalizingFlow
from zuko.flows import MAF, NSF

from mmvae import Family, FamilyConfig, Posterior
from mmvae_flows.affine import Numbers, full


class FlowConfig(FamilyConfig):
    """Keys of a flow."""

    transforms: int = Field(5, ge=1, description="Transforms one after another.")
    hidden: list[int] = Field(
        [256, 256],
        min_length=1,
        description="Widths of the hidden layers of each transform's network.",
    )
    univariate: Literal["affine", "spline"] = Field(
        "affine",
        description="What a transform does to one dimension: scale and shift it, or bend it by a "
        "rational-quadratic spline.",
    )
    bins: int = Field(8, ge=2, description="Pieces of a spline; of splines only.")
    passes: Annotated[int, Field(ge=2)] | Literal["all"] = Field(
        2,
        description="Into how many blocks a transform cuts the dimensions, each given the earlier "
        "ones; sampling takes as many passes. 2 is a coupling; 'all' is one block a dimension, "
        "the most flexible and slow to sample from.",
    )
    context: int = Field(
        64, ge=1, description="Width to which the features that a posterior sees are narrowed."
    )


class FlowPosterior(Posterior):
    """A flow over z, given what is known.

    Args:
        flow: The distribution of u = (z − μ)/σ, batch shape broadcast to (…).
        location: μ, shape (…, d).
        log_scale: log σ, shape (…, d).
    """

    def __init__(self, flow: NormalizingFlow, location: Tensor, log_scale: Tensor) -> None:
        self.flow, self.location, self.log_scale = flow, location, log_scale

    def rsample(self, noise: Tensor) -> Tensor:
        """See :meth:`mmvae.Posterior.rsample`: as many passes as ``passes`` for each transform."""
        with exact(noise):
            u = self.flow.transform.inv(noise.to(self.location))
            return self.location + self.log_scale.exp() * u

    def log_prob(self, z: Tensor) -> Tensor:
        """See :meth:`mmvae.Posterior.log_prob`: one pass for each transform."""
        with exact(z):
            u = (full(z) - self.location) * (-self.log_scale).exp()
            nats: Tensor = self.flow.log_prob(u) - self.log_scale.sum(-1)
            return nats

    def point(self) -> Tensor:
        """Where the flow takes the mode of N(0, I), shape (…, d)."""
        return self.rsample(torch.zeros_like(self.location))


def exact(like: Tensor) -> torch.autocast:
    """Without autocast: densities need float32."""
    return torch.autocast(like.device.type, enabled=False)


class FlowHead(nn.Module):
    """From what is known to a :class:`FlowPosterior`.

    Args:
        config: The family's keys.
        context_dim: Width of what it sees; 0 for nothing.
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

    def forward(self, context: Tensor) -> FlowPosterior:
        """Context (…, c) → batch shape (…)."""
        location, log_scale = self.location(context), self.log_scale(context)
        seen = None if self.narrow is None else full(self.narrow(context))
        return FlowPosterior(self.flow(seen), location, log_scale)


class Flow(Family):
    """Normalising flows."""

    kind = "flow"
    Config = FlowConfig

    def head(self, context_dim: int, latent_dim: int) -> FlowHead:
        """See :meth:`mmvae.Family.head`."""
        return FlowHead(self.config, context_dim, latent_dim)

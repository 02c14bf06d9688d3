r"""Mixtures of diagonal Gaussians as posteriors and priors: the family ``mixture``.

.. math::
    q(z) = \sum_k \pi_k\, N(z; \mu_k, \mathrm{diag}\, \sigma_k^2)
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from pydantic import Field
from torch import Tensor, nn

from mmvae import Family, FamilyConfig, Posterior
from mmvae_flows.affine import Numbers, full, log_deviation

LOG_2PI = math.log(2.0 * math.pi)

GRAINS = 4096.0
"""Grains per standard deviation; a float32 up to 4 has a thousand values in each."""

EDGE = 1e-12
"""Minimum distance of a uniform number from 0 and 1: some seven standard deviations under Φ."""


SPREAD = 0.3
"""Standard deviation of the components' initial means: small, so that all of them see all data."""


NARROWER = 0.75
"""Initial standard deviations of components placed on samples, relative to that of all samples."""


class MixtureConfig(FamilyConfig):
    """Keys of a mixture."""

    components: int = Field(100, ge=1, description="Number of Gaussians in the mixture.")
    context: int = Field(
        64,
        ge=1,
        description="Number of features to which the features of a posterior's modalities are "
        "reduced.",
    )


class MixturePosterior(Posterior):
    """A mixture of K diagonal Gaussians over z.

    Args:
        logits: log π up to a constant, shape (…, K).
        means: μ, shape (…, K, d).
        log_scales: log σ, shape (…, K, d).
        batch: The batch shape (…), to which the leading dimensions of all three broadcast;
            default: those of ``logits``.
    """

    def __init__(
        self,
        logits: Tensor,
        means: Tensor,
        log_scales: Tensor,
        batch: torch.Size | None = None,
    ) -> None:
        self.log_weights = logits.log_softmax(-1)
        self.means, self.log_scales = means, log_scales
        self.batch = logits.shape[:-1] if batch is None else batch

    def rsample(self, noise: Tensor) -> Tensor:
        """See :meth:`mmvae.Posterior.rsample`.

        The noise also chooses the component. A number u, uniform in (0, 1), is computed from it
        and falls into one of K intervals of lengths π_k. The position of u within its interval is
        uniform again and replaces u in the noise. In two or more dimensions u is the direction of
        (ε_1, ε_2), which is independent of their length. So noise times a temperature chooses
        components by their weights, at any temperature, and draws near their means. In one
        dimension u is the fine part of ε, its position between two multiples of a small number.
        Noise 0 chooses the heaviest component. Weights get no gradient through a sample.
        """
        exact = torch.float32 if noise.device.type == "mps" else torch.float64
        edge = max(EDGE, torch.finfo(exact).eps)
        arranged = heaviest_in_the_middle(self.log_weights)
        weights = self.log_weights.detach().gather(-1, arranged).to(exact).exp()
        edges = weights.cumsum(-1)
        weights, edges = (values / edges[..., -1:] for values in (weights, edges))
        middle = weights.shape[-1] // 2
        centre = (edges - 0.5 * weights)[..., middle : middle + 1]  # of the heaviest
        u, rest = uniform(noise.to(exact))
        u = torch.remainder(u + (centre - 0.5), 1.0).clamp(max=1 - edge)
        edges = edges.expand(*noise.shape[:-1], -1)
        place = (u >= edges[..., :-1]).sum(-1, keepdim=True)  # (…, b, 1)
        upper, length = (values.expand_as(edges).gather(-1, place) for values in (edges, weights))
        within = (1 - (upper - u) / length).clamp(edge, 1 - edge)
        noise = rest(within).to(noise)
        chosen = arranged.expand(*noise.shape[:-1], -1).gather(-1, place)
        return self._of(self.means, chosen) + self._of(self.log_scales, chosen).exp() * noise

    def log_prob(self, z: Tensor) -> Tensor:
        """See :meth:`mmvae.Posterior.log_prob`.

        ((z − μ)/σ)² is expanded, so that it needs matrix products instead of a tensor over
        samples, components and dimensions. This costs precision for narrow components: in 64
        dimensions of float32 up to 0.03 nats with |μ|/σ = 30, and 0.3 nats with 100.
        """
        with torch.autocast(z.device.type, enabled=False):
            z = full(z)
            precision = (-2.0 * self.log_scales).exp()
            square = torch.einsum("...d,...kd->...k", z.square(), precision)
            cross = torch.einsum("...d,...kd->...k", z, self.means * precision)
            rest = (self.means.square() * precision + 2.0 * self.log_scales + LOG_2PI).sum(-1)
            least = (2.0 * self.log_scales + LOG_2PI).sum(-1)  # no square < 0 by rounding
            twice = torch.maximum(square - 2.0 * cross + rest, least)
            return (self.log_weights - 0.5 * twice).logsumexp(-1)

    def point(self) -> Tensor:
        """The mean of the heaviest component, shape (…, d)."""
        heaviest = self.log_weights.argmax(-1, keepdim=True)
        return self._of(self.means, heaviest.expand(*self.batch, 1))

    @staticmethod
    def _of(values: Tensor, chosen: Tensor) -> Tensor:
        """Values (…, K, d) of the chosen components (…, 1): (…, d)."""
        d = values.shape[-1]
        every = values.expand(*chosen.shape[:-1], -1, -1)
        return every.gather(-2, chosen.unsqueeze(-1).expand(*chosen.shape, d)).squeeze(-2)


def heaviest_in_the_middle(log_weights: Tensor) -> Tensor:
    """Order components (…, K) so that weights fall from the middle to both ends.

    Then the midpoint of the cumulative weights lies in the heaviest.
    """
    falling = log_weights.argsort(dim=-1, descending=True, stable=True)
    return torch.cat([falling[..., 1::2].flip(-1), falling[..., 0::2]], -1)


def uniform(noise: Tensor) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
    """Extract a uniform number from standard normal noise, and a function to replace it.

    Args:
        noise: (…, d).

    Returns:
        u in [0, 1], shape (…, 1), ½ where the noise is 0, and the function that returns the noise
        with another such number in place of u. u is the direction of the first two dimensions as
        part of a full turn. In one dimension, it is the position of the noise between two
        multiples of 1/:data:`GRAINS`, which is independent of the size of the noise.
    """
    if noise.shape[-1] == 1:
        scaled = GRAINS * noise + 0.5
        whole = scaled.floor()
        return scaled - whole, lambda u: (whole + u - 0.5) / GRAINS
    first, second = noise[..., :1], noise[..., 1:2]
    length = torch.hypot(first, second)

    def turned(u: Tensor) -> Tensor:
        angle = 2.0 * math.pi * (u - 0.5)
        return torch.cat([length * angle.cos(), length * angle.sin(), noise[..., 2:]], -1)

    return 0.5 + torch.atan2(second, first) / (2.0 * math.pi), turned


class MixtureHead(nn.Module):
    """Maps a context to a :class:`MixturePosterior`.

    Args:
        components: K.
        context_dim: Width of the context; 0 for none.
        latent_dim: d.
        narrow: Width to which the context is projected.
    """

    def __init__(
        self, components: int, context_dim: int, latent_dim: int, narrow: int = 64
    ) -> None:
        super().__init__()
        self.shape = components, latent_dim
        self.narrow = nn.Linear(context_dim, narrow) if context_dim else None
        seen = narrow if context_dim else 0
        self.logits = Numbers(seen, torch.zeros(components))
        self.means = Numbers(seen, SPREAD * torch.randn(components * latent_dim))
        self.log_scales = Numbers(seen, torch.zeros(components * latent_dim))

    def begin(self, samples: Tensor, points: Tensor) -> None:
        """Place the components of a prior on points (n, d), each narrower than all samples are.

        Points are used instead of samples, which are arbitrary in unused dimensions: few
        components would be near the target, and take all of it.
        """
        components, _ = self.shape
        chosen = torch.randperm(max(len(points), components))[:components] % len(points)
        spread = samples.std(0).clamp(min=1e-3)
        self.means.start.copy_(points[chosen.to(points.device)].flatten())
        self.log_scales.start.copy_((NARROWER * spread).log().repeat(components))

    def forward(self, context: Tensor) -> MixturePosterior:
        """Context (…, c) → batch shape (…)."""
        batch = context.shape[:-1]
        if self.narrow is None:  # one mixture for all: computed once
            seen = context.new_zeros(*[1] * len(batch), 0)
        else:
            seen = full(self.narrow(context))
        with torch.autocast(context.device.type, enabled=False):
            means, log_scales = (
                numbers(seen).unflatten(-1, self.shape)
                for numbers in (self.means, self.log_scales)
            )
            return MixturePosterior(self.logits(seen), means, log_deviation(log_scales), batch)


class Mixture(Family):
    """Mixtures of diagonal Gaussians."""

    kind = "mixture"
    Config = MixtureConfig

    def head(self, context_dim: int, latent_dim: int) -> MixtureHead:
        """See :meth:`mmvae.Family.head`."""
        c = self.config
        return MixtureHead(c.components, context_dim, latent_dim, c.context)

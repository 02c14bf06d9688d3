"""Posteriors and priors over the joint latent z, and the KL divergence between them.

All computations run in at least float32, with or without autocast, and in nats per item.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable

import torch
from torch import Tensor

LOG_2PI = math.log(2.0 * math.pi)

FARTHEST = 40.0
"""Bound of |log σ²|, so that divergences in float32 stay finite: e^80 is 5 · 10³⁴."""


class Posterior(ABC):
    """A distribution over z with batch shape ``(b,)`` and event shape ``(d,)``.

    Training, evaluation and generation use only these methods, so that flows and mixtures can
    replace the diagonal Gaussian.
    """

    @abstractmethod
    def rsample(self, noise: Tensor) -> Tensor:
        """Reparameterised samples: standard normal ``noise`` (k, b, d) or (b, d) → same shape."""

    @abstractmethod
    def log_prob(self, z: Tensor) -> Tensor:
        """Log density of ``z`` (..., b, d) → nats, shape (..., b)."""

    @abstractmethod
    def point(self) -> Tensor:
        """The point estimate, shape (b, d): the mean of a Gaussian."""

    def detach(self) -> Posterior:
        """The same distribution, held fixed for gradients; default: :class:`HeldFixed`."""
        return HeldFixed(self)


class HeldFixed(Posterior):
    """A distribution whose parameters get no gradient; the argument of its density still does.

    Args:
        free: The distribution.
    """

    def __init__(self, free: Posterior) -> None:
        self.free = free

    def rsample(self, noise: Tensor) -> Tensor:
        """See :meth:`Posterior.rsample`; without gradients."""
        return self.free.rsample(noise).detach()

    def log_prob(self, z: Tensor) -> Tensor:
        """See :meth:`Posterior.log_prob`; the gradient for ``z`` is of first order only."""
        if not (torch.is_grad_enabled() and z.requires_grad):
            return self.free.log_prob(z).detach()
        at = z.detach().requires_grad_()
        nats = self.free.log_prob(at)
        (slope,) = torch.autograd.grad(nats.sum(), at)
        return nats.detach() + (slope * (z - at.detach())).sum(-1)

    def point(self) -> Tensor:
        """See :meth:`Posterior.point`; without gradients."""
        return self.free.point().detach()

    def detach(self) -> HeldFixed:
        """The distribution itself."""
        return self


class DiagonalGaussian(Posterior):
    r"""q(z) = N(μ, diag σ²).

    Args:
        mean: μ, shape (b, d).
        log_variance: log σ², shape (b, d); clamped to ±40.
    """

    def __init__(self, mean: Tensor, log_variance: Tensor) -> None:
        self.mean = mean.float() if mean.dtype in (torch.bfloat16, torch.float16) else mean
        self.log_variance = log_variance.to(self.mean.dtype).clamp(-FARTHEST, FARTHEST)

    @classmethod
    def standard(cls, like: Tensor) -> DiagonalGaussian:
        """N(0, I) with the shape (b, d), device and dtype of ``like``."""
        zeros = torch.zeros_like(like)
        return cls(zeros, zeros)

    def rsample(self, noise: Tensor) -> Tensor:
        """See :meth:`Posterior.rsample`: z = μ + σ ε."""
        return torch.addcmul(self.mean, (0.5 * self.log_variance).exp(), noise)

    def log_prob(self, z: Tensor) -> Tensor:
        """See :meth:`Posterior.log_prob`."""
        # Two sums over dimensions: k samples share the sum over the variances.
        error = ((z - self.mean).square() * (-self.log_variance).exp()).sum(-1)
        return -0.5 * (error + (self.log_variance + LOG_2PI).sum(-1))

    def point(self) -> Tensor:
        """The mean, shape (b, d)."""
        return self.mean

    def detach(self) -> DiagonalGaussian:
        """See :meth:`Posterior.detach`."""
        return DiagonalGaussian(self.mean.detach(), self.log_variance.detach())


_closed_forms: dict[tuple[type[Posterior], type[Posterior]], Callable[..., Tensor]] = {}


def register_kl(
    q: type[Posterior], p: type[Posterior]
) -> Callable[[Callable[..., Tensor]], Callable[..., Tensor]]:
    """Decorate a function ``(q, p) -> nats (b,)`` as the closed form of KL(q ‖ p)."""

    def register(closed_form: Callable[..., Tensor]) -> Callable[..., Tensor]:
        _closed_forms[q, p] = closed_form
        return closed_form

    return register


def kl_divergence(q: Posterior, p: Posterior, z: Tensor | None = None) -> Tensor:
    """KL(q ‖ p) in nats per item, shape (b,).

    Args:
        q: The distribution of the expectation.
        p: The other one, same shapes; with a closed form also n of them, batch shape (n, b).
        z: Samples of ``q``, shape (b, d) or (k, b, d), used where no closed form is registered.
            The result is then the mean of log q(z) − log p(z), unbiased, and may be < 0.

    Raises:
        ValueError: No closed form is registered and no samples were given.
    """
    if (exact := closed_form(q, p)) is not None:
        return exact
    if z is None:
        raise ValueError(
            f"KL({type(q).__name__} ‖ {type(p).__name__}) has no closed form: pass samples of q."
        )
    difference = q.log_prob(z) - p.log_prob(z)
    return difference.mean(0) if difference.dim() == 2 else difference


def closed_form(q: Posterior, p: Posterior) -> Tensor | None:
    """KL(q ‖ p) in nats in closed form; None if no closed form is registered."""
    found = _closed_forms.get((type(q), type(p)))
    return None if found is None else found(q, p)


@register_kl(DiagonalGaussian, DiagonalGaussian)
def _kl_diagonal_gaussians(q: DiagonalGaussian, p: DiagonalGaussian) -> Tensor:
    # KL = ½ Σ_d [ log σ_p² − log σ_q² + (σ_q² + (μ_q − μ_p)²) / σ_p² − 1 ]
    difference = q.log_variance - p.log_variance
    error = (q.mean - p.mean).square() * (-p.log_variance).exp()
    return 0.5 * (difference.exp() - 1.0 - difference + error).sum(-1)

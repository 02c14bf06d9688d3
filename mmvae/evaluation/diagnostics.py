"""Diagnostics of the latent z: information per dimension, and gradient share per modality."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from mmvae.data.batches import Batch, Batches
from mmvae.evaluation.config import EvaluateConfig
from mmvae.evaluation.elbo import rest
from mmvae.evaluation.items import chunks
from mmvae.evaluation.statistics import mean_and_error, require_finite
from mmvae.foundations.progress import NOBODY, Progress
from mmvae.models.base import Model
from mmvae.models.posteriors import DiagonalGaussian, Posterior, kl_divergence

ACTIVE = 0.01
"""A unit is active if its posterior mean varies more than this over items (Burda et al. 2016)."""


@torch.no_grad()
def diagnostics(
    model: Model, batches: Batches, config: EvaluateConfig, progress: Progress = NOBODY
) -> tuple[dict[str, Any], dict[str, str]]:
    """Diagnostics of a model's latent.

    Args:
        model: The model, in eval mode.
        batches: The split's items.
        config: ``batch_size`` and ``seed``.
        progress: Reports progress.

    Returns:
        A JSON-able dict and, by name, the reasons why statistics are missing from it. ``latent``
        has ``kl per dimension`` (KL(q(z_d|x_M) ‖ p(z_d)), nats, means over items), ``variance per
        dimension`` (of the posterior mean, over items), ``active units`` (variance above
        :data:`ACTIVE`) and ``dimensions``. ``gradient shares`` has mean and error by decoded
        modality, see :func:`shares`. Each item's gradient is taken at the sample of q(z|x_M) that
        its ELBO uses, without ``likelihood weights``, the λ_m of the training.

    Raises:
        TrainingError: A statistic is not finite.
    """
    latent, left_out = LatentFigures(), {}
    norms: dict[str, list[Tensor]] = {m: [] for m in model.decoded}
    done = 0
    for batch, draws in chunks(batches, config.batch_size, config.seed):
        progress.part("diagnostics", done, len(batches))
        q, p = posterior_and_prior(model, batch)
        latent.add(q, p, draws.rows.start)
        z = q.rsample(draws.normal("z", model.latent_dim))
        for m, norm in gradient_norms(model, batch, z).items():
            require_finite(("gradient shares", m), norm, draws.rows.start)
            norms[m].append(norm.cpu())
        done += len(batch)
    progress.part("diagnostics", done, len(batches))
    result: dict[str, Any] = {"latent": latent.summary()}
    if "kl per dimension" not in result["latent"]:
        left_out["kl per dimension"] = "the posterior or the prior is no diagonal Gaussian"
    found = shares({m: torch.cat(parts) for m, parts in norms.items()})
    if found is None:
        left_out["gradient shares"] = "no likelihood changes with z"
    else:
        result["gradient shares"] = found
        result["likelihood weights"] = model.likelihood_weights
    return result, left_out


class LatentFigures:
    """KL and activity of each dimension of z, accumulated over chunks of items."""

    def __init__(self) -> None:
        self._points = Moments()
        self._kl: Moments | None = Moments()

    def add(self, q: Posterior, p: Posterior, first: int) -> None:
        """Add the joint posterior and the prior of the items from ``first`` on."""
        self._points.add(q.point())
        kl = dimension_kl(q, p)
        if kl is None or self._kl is None:
            self._kl = None
            return
        require_finite(("latent", "kl per dimension"), kl.sum(1), first)
        self._kl.add(kl)

    def summary(self) -> dict[str, Any]:
        """``latent`` as :func:`diagnostics` returns it."""
        variance = self._points.variance
        return {
            **({} if self._kl is None else {"kl per dimension": self._kl.mean.tolist()}),
            "variance per dimension": variance.tolist(),
            "active units": int((variance > ACTIVE).sum()),
            "dimensions": len(variance),
        }


class Moments:
    """Mean and variance over items of each column, accumulated over chunks in float64."""

    def __init__(self) -> None:
        self._n = 0
        self._sum = self._squares = torch.zeros((), dtype=torch.float64)

    def add(self, values: Tensor) -> None:
        """Add the values (b, d) of some items."""
        values = values.detach().cpu().double()
        self._n += len(values)
        self._sum = self._sum + values.sum(0)
        self._squares = self._squares + values.square().sum(0)

    @property
    def mean(self) -> Tensor:
        """Means, shape (d,)."""
        return self._sum / self._n

    @property
    def variance(self) -> Tensor:
        """Variances over these items, shape (d,)."""
        return (self._squares / self._n - self.mean.square()).clamp_min(0)


def posterior_and_prior(model: Model, batch: Batch) -> tuple[Posterior, Posterior]:
    """q(z|x_M), or q(z|x_O, O), and the prior: p(z), or p(z|w) of a conditional model."""
    known = {m: batch.x[m] for m in rest(model, model.decoded)}
    return model.joint_posterior(batch), model.prior(known, len(batch))


def dimension_kl(q: Posterior, p: Posterior) -> Tensor | None:
    """KL(q_d ‖ p_d) of each dimension, nats (b, d); None unless both are diagonal Gaussians.

    Other distributions need not factorise, so their KL is not a sum over dimensions.
    """
    if type(q) is not DiagonalGaussian or type(p) is not DiagonalGaussian:
        return None
    return kl_divergence(each_dimension(q), each_dimension(p)).reshape(q.mean.shape)


def each_dimension(q: DiagonalGaussian) -> DiagonalGaussian:
    """The marginals of b Gaussians of d dimensions: b · d Gaussians of one dimension."""
    return DiagonalGaussian(q.mean.reshape(-1, 1), q.log_variance.reshape(-1, 1))


def gradient_norms(model: Model, batch: Batch, z: Tensor) -> dict[str, Tensor]:
    """Norm of ∂ log p(x_m|z) / ∂z of each item and decoded modality m, each (b,).

    Parameters get no gradient.

    Args:
        model: The model, in eval mode, where no item depends on another.
        batch: The items; a missing modality has a norm of 0.
        z: One latent for each, (b, d).
    """
    known = {m: batch.x[m] for m in rest(model, model.decoded)}
    norms = {}
    with torch.enable_grad():
        z = z.detach().clone().requires_grad_()
        for m in model.decoded:
            nats = model.log_likelihood(
                m, z, batch.x[m], batch.observed[m], known, present=batch.presence.get(m)
            ).sum()
            gradient = torch.zeros_like(z)
            if nats.requires_grad:  # else its likelihood does not depend on z
                (gradient,) = torch.autograd.grad(nats, z, materialize_grads=True)
            norms[m] = gradient.norm(dim=1).detach()
    return norms


def shares(norms: Mapping[str, Tensor]) -> dict[str, dict[str, float | None]] | None:
    """Each modality's share of the gradient at z: its mean norm divided by the sum of mean norms.

    Args:
        norms: Modality → norm of each item's gradient, (n,).

    Returns:
        Modality → mean and error; None if all norms are 0. The error is that of a ratio of means
        to first order: of the items' g_m − share_m · Σ g over the mean of Σ g.
    """
    exact = {m: norm.double() for m, norm in norms.items()}
    total = torch.stack(list(exact.values())).sum(0)
    whole = total.mean()
    if not whole:
        return None
    found = {}
    for m, norm in exact.items():
        share = norm.mean() / whole
        error = mean_and_error((norm - share * total) / whole)["error"]
        found[m] = {"mean": float(share), "error": error}
    return found

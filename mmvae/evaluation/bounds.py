"""Importance-weighted bounds of log p(x_T), in nats per item (T10)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from mmvae.data.batches import Batch
from mmvae.errors import UsageError
from mmvae.models.protocol import Model, fold, unfold
from mmvae.randomness import StepDraws
from mmvae.subsets import Subset, canonical


@torch.no_grad()
def iw_bound(
    model: Model,
    batch: Batch,
    targets: Sequence[str],
    proposal: Sequence[str],
    samples: int,
    draws: StepDraws,
) -> Tensor:
    r"""Importance-weighted bound of log p(x_T) with samples of q(z|x_P) (T10).

    .. math::
        \log p(x_T) \ge E \log \frac{1}{k} \sum_{i=1}^k
            \frac{p(z_i) \prod_{m \in T} p(x_m|z_i)}{q(z_i|x_P)}

    With k = 1 it is the bound whose mean is the ELBO; it rises with k on average.

    Args:
        model: Any model of the protocol.
        batch: Model input with the modalities of T and P.
        targets: T.
        proposal: P; T itself for the single bound, all modalities for the multiple one.
        samples: k ≥ 1.
        draws: Randomness; the same draws give the same bound.

    Returns:
        Nats per item, shape (b,).

    Raises:
        UsageError: k < 1, or the model has no posterior for P.
    """
    if samples < 1:
        raise UsageError(f"samples = {samples}: expected at least 1.")
    here, by = canonical(targets, model.modalities), canonical(proposal, model.modalities)
    reason = model.supports(here, (), by)
    if reason is not None:
        raise UsageError(reason)
    noise = draws.normal("z", samples, model.latent_dim).transpose(0, 1)
    chunks = [
        log_weights(model, batch, here, by, part) for part in torch.split(noise, _chunk(batch))
    ]
    return torch.logsumexp(torch.cat(chunks), 0) - math.log(samples)


def log_weights(
    model: Model, batch: Batch, targets: Subset, proposal: Subset, noise: Tensor
) -> Tensor:
    """Log p(z) + Σ_{m in T} log p(x_m|z) − log q(z|x_P), shape (k, b), for noise (k, b, d)."""
    q = model.posterior({m: batch.x[m] for m in proposal})
    z = q.rsample(noise)
    weights = model.prior({}, len(batch)).log_prob(z) - q.log_prob(z)
    flat, shape = fold(z)
    for m in targets:
        x, observed = batch.x[m], batch.observed[m]
        x = x.expand(len(noise), *x.shape).flatten(0, 1)
        if observed is not None:
            observed = observed.expand(len(noise), *observed.shape).flatten(0, 1)
        weights = weights + unfold(model.log_likelihood(m, flat, x, observed), shape)
    return weights


def _chunk(batch: Batch, cells: int = 2**24) -> int:
    """Samples at once, so that no expanded input holds more than ``cells`` numbers."""
    return max(1, cells // max(x.numel() for x in batch.x.values()))

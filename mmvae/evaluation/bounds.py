"""Importance-weighted bounds of log p(x_T), in nats per item (T10)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from mmvae.data.batches import Batch
from mmvae.errors import UsageError
from mmvae.models.protocol import Model, fold, unfold
from mmvae.posteriors import Posterior
from mmvae.randomness import StepDraws
from mmvae.subsets import Subset, canonical, subset_name


@torch.no_grad()
def iw_bound(
    model: Model,
    batch: Batch,
    targets: Sequence[str],
    proposal: Sequence[str],
    samples: int,
    draws: StepDraws,
    given: Sequence[str] = (),
) -> Tensor:
    r"""Importance-weighted bound of log p(x_T) with samples of q(z|x_P) (T10).

    .. math::
        \log p(x_T) \ge E \log \frac{1}{k} \sum_{i=1}^k
            \frac{p(z_i) \prod_{m \in T} p(x_m|z_i)}{q(z_i|x_P)}

    With k = 1 it is the bound whose mean is the ELBO; it rises with k on average. A model that
    conditions natively (CVAE, CMMA) may be given G: then p(z|x_G) and p(x_m|z, x_G) take the
    places of p(z) and p(x_m|z), and it is a bound of log p(x_T|x_G).

    Args:
        model: Any model of the protocol.
        batch: Model input with the modalities of T, P and G.
        targets: T.
        proposal: P; T itself for the single bound, all modalities for the multiple one.
        samples: k ≥ 1.
        draws: Randomness; the same draws give the same bound.
        given: G, for models with :attr:`~mmvae.models.protocol.Model.conditional`.

    Returns:
        Nats per item, shape (b,).

    Raises:
        UsageError: k < 1, the model has no posterior for P, or it cannot condition on G.
    """
    if samples < 1:
        raise UsageError(f"samples = {samples}: expected at least 1.")
    here, by = canonical(targets, model.modalities), canonical(proposal, model.modalities)
    condition = canonical(given, model.modalities)
    if condition and not model.conditional:
        raise UsageError(
            f"given = {subset_name(condition)}: a {model.kind!r} model has no prior and "
            f"likelihoods given other modalities, so its conditional is no bound. Take the "
            f"difference of two bounds: log p(x_T, x_G) − log p(x_G)."
        )
    reason = model.supports(here, condition, by)
    if reason is not None:
        raise UsageError(reason)
    known = {m: batch.x[m] for m in condition}
    q = model.posterior({m: batch.x[m] for m in by})
    p = model.prior(known, len(batch))
    noise = draws.normal("z", samples, model.latent_dim).transpose(0, 1)
    chunks = [
        log_weights(model, batch, here, q, p, part, known)
        for part in torch.split(noise, _chunk(batch))
    ]
    return torch.logsumexp(torch.cat(chunks), 0) - math.log(samples)


def log_weights(
    model: Model,
    batch: Batch,
    targets: Subset,
    q: Posterior,
    p: Posterior,
    noise: Tensor,
    given: Mapping[str, Tensor],
) -> Tensor:
    """Log p(z) + Σ_{m in T} log p(x_m|z) − log q(z), shape (k, b), for noise (k, b, d).

    ``given`` are the inputs of what the model conditions on, empty for most models.
    """
    k = len(noise)
    z = q.rsample(noise)
    weights = p.log_prob(z) - q.log_prob(z)
    flat, shape = fold(z)
    known = {m: repeated(x, k) for m, x in given.items()}
    for m in targets:
        observed = batch.observed[m]
        mask = None if observed is None else repeated(observed, k)
        nats = model.log_likelihood(m, flat, repeated(batch.x[m], k), mask, known)
        weights = weights + unfold(nats, shape)
    return weights


def repeated(values: Tensor, k: int) -> Tensor:
    """Values (b, …) k times over, flat as :func:`fold` makes samples (k, b, …): (k · b, …)."""
    return values.expand(k, *values.shape).flatten(0, 1)


def _chunk(batch: Batch, cells: int = 2**24) -> int:
    """Samples at once, so that no expanded input holds more than ``cells`` numbers."""
    return max(1, cells // max(x.numel() for x in batch.x.values()))

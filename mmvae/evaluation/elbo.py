"""The evidence lower bound of items with its terms, and the KL to each subset posterior."""

from __future__ import annotations

from itertools import combinations

import torch
from torch import Tensor

from mmvae.data.batches import Batch
from mmvae.evaluation.standardised import KEY as STANDARDISED
from mmvae.evaluation.standardised import added_nats
from mmvae.evaluation.statistics import Path
from mmvae.foundations.randomness import StepDraws
from mmvae.modalities.subsets import Subset, subset_name
from mmvae.models.base import Model
from mmvae.models.objective import sum_of
from mmvae.models.posteriors import kl_divergence

MOST_SUBSETS = 16
"""Larger families are represented by their singletons and leave-one-out subsets."""


def shown_subsets(model: Model) -> list[Subset]:
    """The proper subsets with a posterior that results show: all of them, if they are few."""
    n = len(model.modalities)
    sizes = range(1, n) if 2**n - 2 <= MOST_SUBSETS else sorted({1, n - 1})
    subsets = [s for size in sizes for s in combinations(model.modalities, size)]
    return [s for s in subsets if model.supports(rest(model, s), s, s) is None]


def rest(model: Model, subset: Subset) -> Subset:
    """The modalities outside a subset."""
    return tuple(m for m in model.modalities if m not in subset)


@torch.no_grad()
def bound_and_terms(model: Model, batch: Batch, draws: StepDraws) -> dict[Path, Tensor]:
    """The evidence lower bound of log p(x_M) and its terms, nats per item (T2).

    For a conditional model it bounds the decoded modalities given the others.

    Args:
        model: A model with a joint posterior.
        batch: Items; for those with missing modalities it bounds log p(x_O) (T13).
        draws: Randomness.

    Returns:
        ``("bounds", "elbo")`` with its ``("terms", …)``: ``log_likelihood/m``, over the items that
        have m, and ``kl``, from one sample of z. If a codec standardises, bound and log-likelihood
        have beside them the value for standardised values.
    """
    targets, given = model.decoded, rest(model, model.decoded)
    known = {m: batch.x[m] for m in given}
    q = model.joint_posterior(batch)
    z = q.rsample(draws.normal("z", model.latent_dim))
    nats = {
        m: model.log_likelihood(
            m, z, batch.x[m], batch.observed[m], known, present=batch.presence.get(m)
        )
        for m in targets
    }
    kl = kl_divergence(q, model.prior(known, len(batch)), z)
    elbo = sum_of(list(nats.values())) - kl
    found = both(("bounds", "elbo"), elbo, added_nats(model.codecs, batch, targets))
    for m, value in nats.items():
        added, path = added_nats(model.codecs, batch, (m,)), ("terms", f"log_likelihood/{m}")
        values = both(path, value, added)
        found |= {name: batch.counted(each, (m,)) for name, each in values.items()}
    return found | {("terms", "kl"): kl}


def both(path: Path, nats: Tensor, added: Tensor | None) -> dict[Path, Tensor]:
    """Nats in the user's units and, if a modality is standardised, those of standardised values.

    Args:
        path: The path of the statistic.
        nats: Nats per item, (b,).
        added: See :func:`mmvae.evaluation.standardised.added_nats`.
    """
    if added is None:
        return {path: nats}
    return {path: nats, (*path, STANDARDISED): nats.cpu().double() + added}


@torch.no_grad()
def subset_divergences(model: Model, batch: Batch, draws: StepDraws) -> dict[Path, Tensor]:
    """KL(q(z|x_M) ‖ q_S(z|x_S)) by subset, nats per item (T5).

    For items with missing modalities KL(q(z|x_O, O) ‖ q_S(z|x_S)), for S a proper subset of O.
    """
    q = model.joint_posterior(batch)
    z = q.rsample(draws.normal("z", model.latent_dim))
    found: dict[Path, Tensor] = {}
    for s in shown_subsets(model):
        kl = kl_divergence(q, model.posterior({m: batch.x[m] for m in s}), z)
        found["subset posteriors", subset_name(s)] = kl[informs(batch, s)]
    return found


def informs(batch: Batch, subset: Subset) -> Tensor:
    """Mask of the items that have a subset of the modalities and at least one more, bool (b,)."""
    whole = torch.ones(len(batch), dtype=torch.bool, device=batch.device)
    inside, outside = whole, ~whole
    for m in batch.x:
        has = batch.presence.get(m, whole)
        if m in subset:
            inside = inside & has
        else:
            outside = outside | has
    return inside & outside

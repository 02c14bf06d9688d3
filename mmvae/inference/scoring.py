"""Scoring: bounds of the log-likelihood of items in batches."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

from mmvae.data.batches import Batch
from mmvae.evaluation.bounds import iw_bound
from mmvae.evaluation.standardised import added_nats
from mmvae.foundations.randomness import ItemDraws
from mmvae.inference.sampling import device_of
from mmvae.models.base import Model
from mmvae.models.finite import require_finite
from mmvae.models.patterns import answers_jointly, by_pattern, completed

Chunks = Iterable[tuple[Batch, slice]]
"""Batches of items, each with its rows."""


def elbo_terms(model: Model, items: Chunks, seed: int) -> dict[str, Tensor]:
    """The ELBO and its named terms, one sample of z each, nats per item, (n,), on the CPU."""
    parts: list[Mapping[str, Tensor]] = []
    for batch, rows in items:
        draws = ItemDraws(seed, "elbo", rows, device_of(model))
        if batch.presence and not model.takes_missing:
            model.joint_posterior(batch)  # raises the reason
        phase = model.phases()[0].name
        parts.append(model.objective(phase, batch, draws, 1.0).named)
    return {name: torch.cat([p[name] for p in parts]).cpu() for name in parts[0]}


def scores(
    model: Model, items: Chunks, samples: int, named: bool, seed: int
) -> tuple[Tensor, Tensor | None]:
    """Importance-weighted bound of log p(x_T) for each item (T10).

    Args:
        model: The model.
        items: Fixed views of the modalities T.
        samples: k, samples of the posterior per item.
        named: True if the user named T, rather than taking what the items have.
        seed: Governs every draw.

    Returns:
        Nats per item, float64 (n,), in the user's units, and for the values that networks see;
        None in its place if no codec of the modalities standardises.
    """
    found, standardised = [], []
    for batch, rows in items:
        draws = ItemDraws(seed, "score", rows, device_of(model))
        nats = torch.empty(len(batch), dtype=torch.float64)
        for group in by_pattern(batch):
            subset, few = group.subset, group.batch
            if answers_jointly(model, subset, named):
                subset, few = model.modalities, completed(model, group)
            theirs = draws.take(group.rows)
            nats[group.rows] = iw_bound(model, few, subset, subset, samples, theirs).cpu()
        what = "the bound of the log-likelihood"
        require_finite(model, "+".join(batch.x), what, nats, rows.start)
        found.append(nats)
        added = added_nats(model.codecs, batch, tuple(batch.x))
        if added is not None:
            standardised.append(nats + added)
    return torch.cat(found), torch.cat(standardised) if standardised else None

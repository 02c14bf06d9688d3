"""Patterns: items grouped by the modalities they have, and the posterior that answers for each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from mmvae.data.batches import Batch
from mmvae.modalities.subsets import Subset
from mmvae.models.base import Model
from mmvae.models.posteriors import Posterior


@dataclass(frozen=True)
class Group:
    """Items that have the same modalities.

    Attributes:
        rows: Their indices in the batch, int64 (g,), ascending.
        subset: Their modalities O; empty if the items have none.
        batch: These items only, with the modalities of O.
    """

    rows: Tensor
    subset: Subset
    batch: Batch


def by_pattern(batch: Batch) -> Iterator[Group]:
    """Group the items of a batch by the modalities they have; one group if none are missing."""
    names = tuple(batch.x)
    if not batch.presence:
        yield Group(torch.arange(len(batch)), names, batch)
        return
    whole = torch.ones(len(batch), dtype=torch.bool, device=batch.device)
    has = torch.stack([batch.presence.get(m, whole) for m in names], 1).cpu().numpy()
    patterns, group = np.unique(has, axis=0, return_inverse=True)
    for k, pattern in enumerate(patterns.tolist()):
        rows = torch.from_numpy(np.flatnonzero(group == k))
        subset = tuple(m for m, there in zip(names, pattern, strict=True) if there)
        few = batch.take(rows.tolist())
        theirs = Batch({m: few.x[m] for m in subset}, {m: few.observed[m] for m in subset})
        yield Group(rows, subset, theirs)


def completed(model: Model, group: Group) -> Batch:
    """Fill a group's missing modalities with fill values, as the joint posterior takes them."""
    like = next(iter(group.batch.x.values()))
    n, blank = len(group.rows), [m for m in model.modalities if m not in group.subset]
    absent = torch.zeros(n, dtype=torch.bool, device=like.device)
    x = {m: group.batch.x.get(m) for m in model.modalities}
    filled = {
        m: model.codecs[m].missing(n).to(like) if value is None else value
        for m, value in x.items()
    }
    observed = {m: group.batch.observed.get(m) for m in model.modalities}
    return Batch(filled, observed, dict.fromkeys(blank, absent))


def answers_jointly(model: Model, subset: Subset, named: bool) -> bool:
    """True if q(z|x_O, O) answers for items that have O; False if the subset posterior q_O does.

    The joint posterior answers for items that the model was trained to take as they are, unless
    the caller names the modalities to use.

    Args:
        model: The model.
        subset: O.
        named: True if the caller named the modalities.
    """
    return subset != model.modalities and not named and model.takes(subset)


def posterior_of(model: Model, group: Group, named: bool = False) -> Posterior:
    """The posterior of a group's items.

    Raises:
        UsageError: The model has none.
    """
    if answers_jointly(model, group.subset, named):
        return model.joint_posterior(completed(model, group))
    return model.posterior(group.batch.x)

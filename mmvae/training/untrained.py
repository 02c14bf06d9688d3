"""Comparison with the untrained model: a model that is far worse has diverged."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from mmvae.data.batches import Batches
from mmvae.foundations.networks import evaluating
from mmvae.foundations.randomness import ItemDraws, sample, seeded_global
from mmvae.modalities.subsets import Subset
from mmvae.models.base import Model

LEAST = 100.0
"""Nats per item below which a difference may have other causes than a divergence."""


def untrained(model: Model, patterns: Mapping[Subset, int] | None = None) -> Model:
    """The same model with new weights, a function of its config alone, in eval mode.

    Args:
        model: The model.
        patterns: See :meth:`mmvae.Model.learn_patterns`; None if no training item lacks any.
    """
    kind, shapes = type(model), model.shapes
    with seeded_global(0):
        new = kind(model.config, model.codecs, *([shapes] if shapes.any else []))
    if patterns is not None and any(c.sometimes_missing for c in model.codecs.values()):
        new.learn_patterns(patterns)
    return new.to(next(model.parameters()).device).eval()


def far_below(values: Tensor, before: Tensor, what: str) -> str | None:
    """A remark if values of items lie far below those of the model before any training.

    The medians over items are compared, so that it takes more than a few extreme items. ``Far``
    is by as many nats as the untrained model's own, and by :data:`LEAST`.

    Args:
        values: Nats of items, larger is better, (n,).
        before: Those of the same items by the model before any training, (n,).
        what: Name of the values, for the remark.
    """
    now, then = float(values.double().median()), float(before.double().median())
    if now >= then - LEAST - abs(then):
        return None
    return (
        f"the median of {what} over items is {now:.4g} nats, far below the {then:.4g} of the same "
        f"model before any training. The training has diverged: results and samples of this "
        f"model are meaningless. Train again with a lower train.learning_rate, or set "
        f"train.clip_norm."
    )


@torch.no_grad()
def diverged(
    model: Model,
    batches: Batches,
    size: int,
    seed: int,
    patterns: Mapping[Subset, int] | None = None,
) -> str | None:
    """A remark if a model's objective lies far below that before any training.

    Args:
        model: The model; its mode is put back.
        batches: The items. Splits keep the order of their table, which may be sorted, so some are
            drawn.
        size: Number of items that are drawn.
        seed: Governs the choice of items and samples of z.
        patterns: The patterns of the training items, if the model knows them.
    """
    items = sample(len(batches), size, seed, "diverged")
    batch = batches.fixed(items)
    values = []
    with evaluating(model):
        for each in (model, untrained(model, patterns)):
            draws = ItemDraws(seed, "validation", items, batches.device)
            losses = [each.objective(p.name, batch, draws, 1.0).loss for p in each.phases()]
            values.append(-torch.stack(losses).sum(0))
    return far_below(values[0], values[1], "the objective")

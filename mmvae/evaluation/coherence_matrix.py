"""The coherence matrix: coherence from every set of given modalities to every other modality."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import torch
from torch import Tensor

from mmvae.data.batches import Batch, Batches
from mmvae.evaluation.classifiers import Classifiers
from mmvae.evaluation.config import EvaluateConfig
from mmvae.evaluation.elbo import rest
from mmvae.evaluation.items import sampled
from mmvae.evaluation.statistics import mean_and_error
from mmvae.foundations.progress import NOBODY, Progress
from mmvae.modalities.subsets import Subset, subset_name
from mmvae.models.base import Model
from mmvae.models.finite import finite_values

MOST_SETS = 62
"""Up to six modalities use all given-sets; more use only singletons, pairs and all but one."""

MOST_WITH_PAIRS = 20
"""Models of more modalities are given no pairs: the work grows with the cube of their number."""

LEAST = 3
"""The matrix needs three modalities: for two, coherence and accuracy contain it."""


def given_sets(model: Model) -> list[Subset]:
    """The proper subsets that are given, by size, for which the model has posteriors."""
    n = len(model.modalities)
    sizes = range(1, n) if 2**n - 2 <= MOST_SETS else sorted({1, 2, n - 1})
    if without_pairs(model):
        sizes = [1, n - 1]
    subsets = [s for size in sizes for s in combinations(model.modalities, size)]
    return [s for s in subsets if model.supports(rest(model, s), s, s) is None]


def without_pairs(model: Model) -> str | None:
    """The reason why sets of two are not given, where they are very many; else None."""
    n = len(model.modalities)
    pairs = n * (n - 1) // 2
    if n <= MOST_WITH_PAIRS:
        return None
    return (
        f"{pairs} pairs of {n} modalities, for each of which all others would be decoded: given "
        f"are single modalities and all but one"
    )


def labels_of(model: Model) -> list[str]:
    """The modalities with classes that coherence is measured by; none for a model of two."""
    if len(model.modalities) < LEAST:
        return []
    return [c for c, codec in model.codecs.items() if codec.classes is not None]


def coherence_matrix(
    model: Model,
    batches: Batches,
    classifiers: Classifiers,
    config: EvaluateConfig,
    progress: Progress = NOBODY,
) -> dict[str, Any]:
    """The share of values generated from given ones in which a classifier sees the item's class.

    One pass over ``coherence_samples`` of the items, drawn by ``seed``, so that all models are
    evaluated on the same items. For each given-set S, z is one sample of q(z|x_S), with the same
    noise for all S. Every modality outside S is decoded there and classified; a modality with
    classes is compared with its own. An item counts if it has S and the class.

    Args:
        model: The model, of three modalities at least.
        batches: The split.
        classifiers: Classifiers trained on real items.
        config: ``coherence_samples``, ``batch_size``, ``seed``.
        progress: Reports progress.

    Returns:
        Modality c with classes → ``"cells"``: S → m → mean and error, and the number of items if
        not all count; ``"by size"``: size of S → mean and error over items of their mean over all
        cells without c; and ``"classifier on real items"``: m → mean and error.
    """
    labels, sets = labels_of(model), given_sets(model)
    if not labels or not sets:
        return {}
    pairs = [(c, m) for c in labels for m in model.decoded if m != c and classifiers.can(m, c)]
    trained = {(c, m): classifiers.of(m, c) for c, m in pairs}
    n = min(config.coherence_samples, len(batches))
    right: dict[str, dict[tuple[Subset, str], list[Tensor]]] = {c: {} for c in labels}
    done = 0
    for batch, draws in sampled(batches, n, config.batch_size, config.seed, "matrix"):
        progress.part("coherence matrix", done, n)
        noise = draws.normal("z", model.latent_dim)
        for given in sets:
            predictions = generated(model, batch, given, noise)
            for c in labels:
                truth = model.codecs[c].class_index(batch.x[c])
                has = batch.having((*given, c))
                for m, prediction in predictions.items():
                    if m != c and (c, m) not in trained:
                        continue  # no training item has both
                    codec = model.codecs[m]
                    seen = (
                        codec.class_index(prediction)
                        if m == c
                        else trained[c, m].verdict_on_generated(prediction, draws, m)
                    )
                    values = (seen == truth).float()
                    if has is not None:
                        values = values.masked_fill(~has, torch.nan)
                    right[c].setdefault((given, m), []).append(values.cpu())
        done += len(batch)
    progress.part("coherence matrix", n, n)
    own = {(c, m): classifiers.classified(m, c, batches, config.batch_size)[0] for c, m in pairs}
    return {
        c: summary({cell: torch.cat(parts) for cell, parts in right[c].items()}, c)
        | {
            "classifier on real items": {
                m: mean_and_error(values)
                for (label, m), values in own.items()
                if label == c and len(values)
            }
        }
        for c in labels
    }


@torch.no_grad()
def generated(model: Model, batch: Batch, given: Subset, noise: Tensor) -> dict[str, Tensor]:
    """Best values of each decoded modality outside S at one sample of q(z|x_S), (b, event…)."""
    known = {m: batch.x[m] for m in given}
    z = model.posterior(known).rsample(noise)
    return {m: finite_values(model, m, z, known) for m in model.decoded if m not in given}


def summary(right: dict[tuple[Subset, str], Tensor], label: str) -> dict[str, Any]:
    """Cells, and their means by the number of given modalities.

    Args:
        right: (S, m) → 1 for each item that is right, else 0, float (n,); NaN if not counted.
        label: The modality with classes, c.
    """
    cells: dict[str, dict[str, Any]] = {}
    sizes: dict[int, list[Tensor]] = {}
    for (given, m), values in right.items():
        counted = values[~values.isnan()]
        if not len(counted):
            continue  # no item has S and the class
        items = {} if len(counted) == len(values) else {"items": len(counted)}
        cells.setdefault(subset_name(given), {})[m] = mean_and_error(counted) | items
        if label not in (*given, m):
            sizes.setdefault(len(given), []).append(values)
    by_size = {}
    for size, parts in sorted(sizes.items()):
        mean = torch.stack(parts).nanmean(0)
        by_size[str(size)] = mean_and_error(mean[~mean.isnan()])
    return {"cells": cells, "by size": by_size}

"""The amount of work of an evaluation, reported before it begins if it is large."""

from __future__ import annotations

from collections.abc import Iterator

from mmvae.data.batches import Batches
from mmvae.evaluation.coherence import all_pairs
from mmvae.evaluation.coherence_matrix import given_sets, labels_of
from mmvae.evaluation.config import EvaluateConfig
from mmvae.evaluation.elbo import shown_subsets
from mmvae.evaluation.queries import parse_cells
from mmvae.models.base import Model

MANY = 5_000_000
"""Decoded values from which on a remark is due: minutes, of small networks on one core."""

MANY_JUDGES = 50
"""Number of classifiers from which on a remark is due."""


def costs(model: Model, batches: Batches, config: EvaluateConfig) -> Iterator[str]:
    """A sentence on each large part of an evaluation: its size, and the key that limits it.

    Args:
        model: The model.
        batches: The split.
        config: The ``[evaluate]`` section.
    """
    items, decoded = len(batches), len(model.decoded)
    cells, _ = parse_cells(config.bounds, model, config.given_from)
    values = len(cells) * config.samples * items * decoded
    if values > MANY:
        yield (
            f"{len(cells)} likelihood queries of {items} items with {config.samples} samples "
            f"decode up to {values:.1e} values: fewer with evaluate.bounds, which names queries, "
            f"or evaluate.samples"
        )
    values = (len(shown_subsets(model)) + 1) * items * decoded
    if values > MANY:
        yield (
            f"predictions of each modality from {len(shown_subsets(model)) + 1} sets of others "
            f"decode {values:.1e} values: fewer with a smaller split, evaluate.split"
        )
    if not config.coherence:
        return
    pairs = all_pairs(model)
    if len(pairs) > MANY_JUDGES:
        yield (
            f"coherence trains {len(pairs)} classifiers, each for 1,000 steps or more: none with "
            f"evaluate.coherence = false"
        )
    sets = given_sets(model) if labels_of(model) else []
    values = len(sets) * decoded * min(config.coherence_samples, items)
    if values > MANY:
        yield (
            f"the coherence matrix of {len(sets)} sets of given modalities decodes {values:.1e} "
            f"values: fewer with evaluate.coherence_samples"
        )

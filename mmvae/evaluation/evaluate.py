"""Evaluation of a trained model on one split, as one JSON-able result."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mmvae.data.batches import Batches
from mmvae.evaluation.classifiers import Classifiers
from mmvae.evaluation.coherence import all_pairs, coherence
from mmvae.evaluation.coherence_matrix import coherence_matrix, without_pairs
from mmvae.evaluation.config import EvaluateConfig
from mmvae.evaluation.cross_generation import cross_generation
from mmvae.evaluation.diagnostics import diagnostics
from mmvae.evaluation.elbo import bound_and_terms, rest, subset_divergences
from mmvae.evaluation.items import chunks
from mmvae.evaluation.likelihood_queries import (
    likelihoods,
    summary,
    variation_of_information,
    without_items,
)
from mmvae.evaluation.partial_results import PartialResults
from mmvae.evaluation.queries import parse_cells
from mmvae.evaluation.query import cell_name
from mmvae.evaluation.statistics import ItemFigures
from mmvae.foundations.progress import NOBODY, Progress
from mmvae.models.base import Model


def evaluate(
    model: Model,
    batches: Batches,
    config: EvaluateConfig,
    training: Callable[[], Batches] | Batches | None = None,
    progress: Progress = NOBODY,
    partial: PartialResults | None = None,
) -> dict[str, Any]:
    """Evaluate a model on a split.

    Args:
        model: The model.
        batches: The split's items, on the model's device.
        config: The ``[evaluate]`` section.
        training: Real training items for the classifiers of coherence, or a function that gives
            them, called only if a classifier is needed; without them there is no coherence.
        progress: Reports progress.
        partial: Stores the nats of each item and likelihood query; stored ones are not recomputed.

    Returns:
        A JSON-able dict. Bounds, terms and divergences are in nats per item; each statistic has
        ``mean`` and ``error``, the standard error over items, and ``items`` if it covers fewer
        than all, because some lack a modality. Log-likelihoods are of values in the user's units;
        those of modalities whose codec standardises have ``standardised``, the mean and error for
        standardised values. Its keys are ``bounds``, ``terms``, ``cells``
        (the likelihood queries that ``config.bounds`` names, see
        :func:`mmvae.evaluation.likelihood_queries.summary`), ``variation of information``,
        ``subset posteriors`` (KL of the joint posterior to each), ``given`` (S → m → statistics of
        the codec), ``accuracy`` (``"image → label"``), ``coherence`` (``"label → image"``),
        ``coherence matrix`` (:mod:`mmvae.evaluation.coherence_matrix`, of three and more),
        ``latent`` and ``gradient shares`` (:func:`mmvae.evaluation.diagnostics.diagnostics`), and
        ``modalities``, ``split``, ``items``, ``samples``, ``seed``, ``units``; of a conditional
        model ``bounds of``, which names what they bound. Statistics that a model cannot
        have are named in ``left out`` with the reason.

    Raises:
        UsageError: ``config.bounds`` names a query that does not exist or that the model can't
            answer.
        TrainingError: A statistic is not finite.
    """
    cells, left_out = parse_cells(config.bounds, model, config.given_from)
    empty = without_items(cells, model, batches)
    left_out |= {cell_name(cell, model.modalities): reason for cell, reason in empty.items()}
    cells = [cell for cell in cells if cell not in empty]
    was_training = model.training
    model.eval()
    try:
        statistics, partial = ItemFigures(len(batches)), partial or PartialResults()
        names = likelihoods(model, batches, cells, config, partial, progress)
        given = rest(model, model.decoded)
        unbounded = model.supports(model.decoded, given, model.modalities)
        if unbounded is not None:
            left_out["bounds"] = unbounded
        done = 0
        for batch, draws in chunks(batches, config.batch_size, config.seed):
            progress.part("items", done, len(batches))
            if unbounded is None:
                statistics.add(bound_and_terms(model, batch, draws))
            statistics.add(subset_divergences(model, batch, draws))
            statistics.add(cross_generation(model, batch))
            done += len(batch)
        progress.part("items", done, len(batches))
        result = statistics.summary()
        if cells:
            items = partial.whole(len(batches), config.batch_size, names)
            result["cells"] = summary(items, cells, model, config, batches)
            if informed := variation_of_information(items, model.modalities):
                result["variation of information"] = informed
        if given:
            result["bounds of"] = f"log p({', '.join(model.decoded)} | {', '.join(given)})"
        found, reasons = diagnostics(model, batches, config, progress)
        result |= found
        left_out |= reasons
        if not config.coherence:
            left_out["coherence"] = "evaluate.coherence = false"
        elif training is None:
            left_out["coherence"] = "no training items for the classifiers"
        elif all_pairs(model):
            real = training() if callable(training) else training
            classifiers = Classifiers(real, config.seed, progress)
            result["coherence"] = coherence(model, batches, classifiers, config)
            if matrix := coherence_matrix(model, batches, classifiers, config, progress):
                result["coherence matrix"] = matrix
                if (reason := without_pairs(model)) is not None:
                    left_out["coherence matrix of pairs"] = reason
    finally:
        model.train(was_training)
    return {
        **result,
        "modalities": list(model.modalities),
        "split": config.split,
        "items": len(batches),
        "samples": config.samples,
        "coherence samples": config.coherence_samples,
        "seed": config.seed,
        "units": "nats per item; errors are standard errors over items",
        "left out": left_out,
    }

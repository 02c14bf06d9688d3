"""Evaluation of a trained run: evaluate it, keep what is still valid, store the results."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from torch import Tensor

from mmvae.data.extreme_values import naming_items
from mmvae.evaluation.cost import costs
from mmvae.evaluation.evaluate import evaluate as evaluate_model
from mmvae.evaluation.likelihood_queries import (
    likelihoods,
    variation_of_information,
    without_items,
)
from mmvae.evaluation.measurement import Measured, cells_of, measure, metric_item
from mmvae.evaluation.metric import Specimen
from mmvae.evaluation.partial_results import PartialResults
from mmvae.evaluation.queries import parse_cells
from mmvae.experiments.open_run import OpenRun, open_run
from mmvae.foundations.errors import RunError
from mmvae.foundations.progress import NOBODY, Progress, Remarks
from mmvae.foundations.randomness import kept_global
from mmvae.foundations.surroundings import exclusive
from mmvae.plugins.registry import Registry
from mmvae.runs.results_file import read_items, read_results, write_items, write_results
from mmvae.training.distributed import everyone_follows, leading
from mmvae.training.untrained import diverged

CELLS_SINCE = 3  # the oldest format whose queries, and nats of items, have the present meaning


@exclusive()
def evaluate(
    run: str | Path,
    data: Any = None,
    *,
    overrides: Sequence[str] = (),
    progress: Progress | None = None,
    registry: Registry | None = None,
) -> dict[str, Any]:
    """Evaluate a run's model and store the result in ``RUN/evaluation.json``.

    Args:
        run: The run's folder.
        data: The items again, if the run was trained on data in memory.
        overrides: ``"key=value"`` texts, such as ``"evaluate.samples=100"``.
        progress: Shows how far the work is, and remarks, such as that the data differ from those
            that the run was trained on, or that the work is large; default: remarks on standard
            error.
        registry: The plugins to choose from; default: the installed ones.

    Returns:
        The result of :func:`mmvae.evaluation.evaluate.evaluate`, with ``name``, ``step`` and
        ``weights`` (SHA-256) of the model, ``steps`` (their total), ``data`` (their fingerprint),
        ``densities`` (modality → the measure of its likelihood's density, if stated), ``mmvae``
        (the version), ``config`` (the ``[evaluate]`` section, and ``metrics``) and ``metrics``
        (name → ``kind``, ``keys``, ``about``, ``remarks`` and ``figures``); ``diverged``: a remark
        if the model is far worse than before any training. Likelihood queries of
        an earlier evaluation of the same weights and items stay, unless they are recomputed.
        Several processes share the queries; only the main process returns the result, the others
        an empty dict.

    Raises:
        MmvaeError: As :func:`open_run`; TrainingError if a statistic is not finite or the system
            refuses to write; RunError if another process evaluates the run, or if another folder
            took its place.
    """
    shown = progress or Remarks()
    opened = open_run(run, data, overrides, registry, shown)
    if leading(opened.accelerator):
        config = opened.experiment.evaluate
        for remark in costs(opened.trained.model, opened.data.batches(config.split), config):
            shown.say(remark)
    with opened.run.results_locked() if leading(opened.accelerator) else nullcontext():
        return evaluate_opened(opened, shown)


@exclusive()
def evaluate_opened(opened: OpenRun, progress: Progress = NOBODY) -> dict[str, Any]:
    """Evaluate a run that is open already and whose results are locked; see :func:`evaluate`."""
    config, data, model = opened.experiment.evaluate, opened.data, opened.trained.model
    batches, partial = data.batches(config.split), open_partial_results(opened)
    with kept_global(), naming_items(data):
        if opened.accelerator.num_processes > 1:
            with everyone_follows(opened.accelerator):
                cells, _ = parse_cells(config.bounds, model, config.given_from)
                empty = without_items(cells, model, batches)
                cells = [cell for cell in cells if cell not in empty]
                likelihoods(model.eval(), batches, cells, config, partial, progress)
            if not leading(opened.accelerator):
                return {}
        statistics = evaluate_model(
            model,
            batches,
            config,
            opened.classifier_items,
            progress,
            partial,
        )
        measured = measured_metrics(opened, progress)
    result = opened.made_with() | statistics
    remark = diverged(model, batches, config.batch_size, config.seed)
    if remark is not None:
        result["diverged"] = remark
    result["metrics"] = measured.figures
    result["left out"] |= {f"metrics.{n}": reason for n, reason in measured.left_out.items()}
    earlier = earlier_cells(opened)
    items = {metric_item(*path): values for path, values in measured.items.items()}
    if "cells" in result:
        items |= partial.whole(len(batches), config.batch_size)
    if earlier:
        items = cells_of(read_items(opened.run)[0]) | items
    if items:
        keep_items(opened, items)
    for key, statistics in earlier.items():
        result[key] = statistics | result.get(key, {})
    items = cells_of(items)
    if earlier and (informed := variation_of_information(items, model.modalities)):
        result["variation of information"] = informed
    write_results(opened.run, result)
    partial.remove()
    return result


def measured_metrics(opened: OpenRun, progress: Progress = NOBODY) -> Measured:
    """Measure the configured metrics on the split of the evaluation."""
    config, data = opened.experiment.evaluate, opened.data
    specimen = Specimen(
        opened.trained.model,
        data.batches(config.split),
        lambda: data.batches("train"),
        config.seed,
        config.batch_size,
        progress.part,
    )
    return measure(opened.metrics, specimen) if opened.metrics else Measured()


def open_partial_results(opened: OpenRun) -> PartialResults:
    """The values of items that the run stores until all are computed."""
    if not opened.experiment.evaluate.bounds:
        return PartialResults()
    made_with = opened.made_with()
    keys = ("split", "batch_size", "bounds", "samples", "given_from", "given_samples", "seed")
    made_with["config"] = {key: made_with["config"][key] for key in keys}
    made_with["format"] = CELLS_SINCE
    accelerator = opened.accelerator
    return PartialResults(
        opened.run.evaluation_parts,
        made_with,
        accelerator.process_index,
        accelerator.num_processes,
        opened.run.check_in_place,
    )


def keep_items(opened: OpenRun, items: dict[str, Tensor]) -> None:
    """Write the nats of each item, and the settings that they depend on, beside the statistics."""
    write_items(opened.run, items, item_source(opened))


def item_source(opened: OpenRun) -> dict[str, str]:
    """The model and the items that an evaluation belongs to."""
    return {
        "weights": opened.weights,
        "data": opened.data.source.fingerprint(),
        "split": opened.experiment.evaluate.split,
    }


def earlier_cells(opened: OpenRun) -> dict[str, Any]:
    """The still valid queries of the last evaluation: those of these weights and items."""
    try:
        earlier, (_, made_with) = read_results(opened.run), read_items(opened.run)
    except RunError:  # absent or damaged: replaced now
        return {}
    source = item_source(opened)
    same = {key: earlier.get(key) for key in source}
    current = int(earlier.get("format", 0)) >= CELLS_SINCE
    alike = current and earlier.get("densities", {}) == opened.densities
    if not alike or same != source or made_with != source:
        return {}
    keys = ("cells", "variation of information")
    return {key: earlier[key] for key in keys if key in earlier}

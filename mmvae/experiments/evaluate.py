"""Evaluation of a trained run: open it again, evaluate it, store the results."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from accelerate import Accelerator
from torch import Tensor

from mmvae import __version__
from mmvae.data.batches import Batches
from mmvae.data.dataset import Data
from mmvae.data.extreme_values import naming_items
from mmvae.evaluation.cost import costs
from mmvae.evaluation.evaluate import evaluate as evaluate_model
from mmvae.evaluation.likelihoods import likelihoods, variation_of_information, without_items
from mmvae.evaluation.measurement import Measured, cells_of, keys, measure, metric_item
from mmvae.evaluation.metric import Metric, Specimen
from mmvae.evaluation.partial_results import Ledger
from mmvae.evaluation.queries import parse_cells
from mmvae.evaluation.steps import Step, quiet
from mmvae.experiments.build import make_accelerator, metrics, open_materials
from mmvae.experiments.compatibility import changed_data
from mmvae.experiments.config import Experiment, load_experiment
from mmvae.experiments.judges import judge_batches, with_judge_data
from mmvae.foundations.errors import RunError, UsageError
from mmvae.foundations.randomness import kept_global
from mmvae.foundations.surroundings import exclusive
from mmvae.inference.model_folder import built, kept, saved_model, weights_step
from mmvae.inference.trained_model import TrainedModel
from mmvae.plugins.loader import load_registry
from mmvae.plugins.provenance import require_plugins
from mmvae.plugins.registry import Registry
from mmvae.runs.checkpoint import Checkpoint
from mmvae.runs.results_file import (
    read_items,
    read_results,
    write_items,
    write_results,
)
from mmvae.runs.run import Run
from mmvae.training.config import TrainConfig
from mmvae.training.distributed import everyone_follows, leading
from mmvae.training.untrained import diverged

WAIT_S = 7 * 24 * 3600  # processes share hours of work, and wait for the slowest
FORMAT = 3  # of ``evaluation.json``: changes with the meaning of statistics or the choice of items
CELLS_SINCE = 3  # the oldest format whose queries, and nats of items, have the present meaning

Say = Callable[[str], None]
"""Called with a remark."""


def on_standard_error(remark: str) -> None:
    """Print a remark."""
    print(remark, file=sys.stderr)


@dataclass
class OpenedRun:
    """A run with its model and its data.

    Attributes:
        run: Its folder.
        experiment: Its configuration, overrides applied.
        trained: Its model, on the device that the configuration names.
        data: Its data, opened again with the codecs fitted in training.
        step: The step at which the model's weights were reached.
        steps: Total number of steps; more than ``step`` if the weights are the best by validation.
        weights: Their SHA-256.
        accelerator: Device and processes.
        metrics: The metrics of its configuration.
        judged_by: Gives the training items of the classifiers for coherence.
    """

    run: Run
    experiment: Experiment
    trained: TrainedModel
    data: Data
    step: int
    steps: int
    weights: str
    accelerator: Accelerator
    metrics: Mapping[str, Metric]
    judged_by: Callable[[], Batches]

    @property
    def densities(self) -> dict[str, str]:
        """Modality → the measure of its likelihood's density, if the codec states it."""
        model = self.trained.model
        found = {m: model.codecs[m].density for m in model.decoded}
        return {m: of for m, of in found.items() if of is not None}

    def made_with(self) -> dict[str, Any]:
        """All settings that an evaluation of it depends on."""
        densities = self.densities
        return {
            **({"densities": densities} if densities else {}),
            "format": FORMAT,
            "mmvae": __version__,
            "name": self.experiment.name,
            "step": self.step,
            "steps": self.steps,
            "weights": self.weights,
            "data": self.data.source.fingerprint(),
            "config": {
                **self.experiment.evaluate.model_dump(mode="json"),
                "metrics": {n: {"kind": m.kind, **keys(m)} for n, m in self.metrics.items()},
            },
        }


@exclusive()
def open_run(
    run: str | Path,
    data: Any = None,
    overrides: Sequence[str] = (),
    registry: Registry | None = None,
    say: Say = on_standard_error,
) -> OpenedRun:
    """Open a run's model and its data.

    Args:
        run: The run's folder.
        data: The items again, if the run was trained on data in memory.
        overrides: ``"key=value"`` texts for ``evaluate``, ``metrics`` and ``data``.
        registry: The plugins to choose from; default: the installed ones.
        say: Called if the run is unfinished, or the data differ from those it was trained on.

    Raises:
        RunError: There is no run, or it has no model yet.
        CheckpointError: The model is damaged.
        ConfigError: An override is wrong, or would change the model.
        DataError: The data cannot be read again.
    """
    registry = registry or load_registry()
    folder = Run.open(Path(run))
    _refuse_other_keys(overrides)
    require_plugins(folder.plugins(), registry, folder.folder)
    loaded = load_experiment(folder.resolved, overrides, registry)
    experiment, received = loaded.experiment, loaded.received
    saved = saved_model(folder.folder)
    trained = built(saved, folder.folder, registry)
    states = {m: codec.state for m, codec in trained.codecs.items()}
    train = experiment.train
    config = TrainConfig(device=train.device, threads=train.threads)
    accelerator = make_accelerator(config, patience_s=WAIT_S)
    trained.model.to(accelerator.device)
    materials = open_materials(experiment, registry, data, accelerator, states, received)
    judging = with_judge_data(experiment, registry)

    def judged_by() -> Batches:
        if judging.data == experiment.data:
            return materials.batches("train")
        return judge_batches(
            experiment, registry, data, trained.codecs, accelerator.device, received
        )

    if remark := changed_data(folder, materials):
        say(remark)
    digest = saved.digests[kept(saved)]
    step, steps = weights_step(saved), _steps(folder, saved)
    if not folder.model.is_dir() and leading(accelerator):
        best = "" if step == saved.step else f", with the best weights so far, of step {step}"
        say(
            f"The training of {folder.folder} is unfinished: what is evaluated is its checkpoint "
            f"of step {saved.step}{best}. Unless it is being trained now, "
            f"`mmvae resume {folder.folder}` goes on."
        )
    return OpenedRun(
        folder,
        experiment,
        trained,
        materials,
        step,
        steps,
        digest,
        accelerator,
        metrics(experiment, registry, materials.codecs),
        judged_by,
    )


def _steps(run: Run, saved: Checkpoint) -> int:
    """Total number of steps; a final model's own step is that of its weights."""
    if run.model.is_dir():
        with suppress(RunError):  # a damaged status does not prevent evaluation
            return run.status().step
    return saved.step


@exclusive()
def evaluate(
    run: str | Path,
    data: Any = None,
    *,
    overrides: Sequence[str] = (),
    step: Step = quiet,
    registry: Registry | None = None,
    say: Say = on_standard_error,
) -> dict[str, Any]:
    """Evaluate a run's model and store the result in ``RUN/evaluation.json``.

    Args:
        run: The run's folder.
        data: The items again, if the run was trained on data in memory.
        overrides: ``"key=value"`` texts, such as ``"evaluate.samples=100"``.
        step: Reports progress.
        registry: The plugins to choose from; default: the installed ones.
        say: Called if the data differ from those that the run was trained on, and with the amount
            of work if it is large.

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
            refuses to write; RunError if another process evaluates the run.
    """
    opened = open_run(run, data, overrides, registry, say)
    if leading(opened.accelerator):
        config = opened.experiment.evaluate
        for remark in costs(opened.trained.model, opened.data.batches(config.split), config):
            say(remark)
    with opened.run.results_locked() if leading(opened.accelerator) else nullcontext():
        return evaluate_opened(opened, step)


@exclusive()
def evaluate_opened(opened: OpenedRun, step: Step = quiet) -> dict[str, Any]:
    """Evaluate a run that is open already and whose results are locked; see :func:`evaluate`."""
    config, data, model = opened.experiment.evaluate, opened.data, opened.trained.model
    batches, ledger = data.batches(config.split), open_ledger(opened)
    with kept_global(), naming_items(data):
        if opened.accelerator.num_processes > 1:
            with everyone_follows(opened.accelerator):
                cells, _ = parse_cells(config.bounds, model, config.given_from)
                empty = without_items(cells, model, batches)
                cells = [cell for cell in cells if cell not in empty]
                likelihoods(model.eval(), batches, cells, config, ledger, step)
            if not leading(opened.accelerator):
                return {}
        figures = evaluate_model(
            model,
            batches,
            config,
            opened.judged_by,
            step,
            ledger,
        )
        measured = measured_metrics(opened, step)
    result = opened.made_with() | figures
    remark = diverged(model, batches, config.batch_size, config.seed)
    if remark is not None:
        result["diverged"] = remark
    result["metrics"] = measured.figures
    result["left out"] |= {f"metrics.{n}": reason for n, reason in measured.left_out.items()}
    earlier = earlier_cells(opened)
    items = {metric_item(*path): values for path, values in measured.items.items()}
    if "cells" in result:
        items |= ledger.whole(len(batches), config.batch_size)
    if earlier:
        items = cells_of(read_items(opened.run)[0]) | items
    if items:
        keep_items(opened, items)
    for key, figures in earlier.items():
        result[key] = figures | result.get(key, {})
    items = cells_of(items)
    if earlier and (informed := variation_of_information(items, model.modalities)):
        result["variation of information"] = informed
    write_results(opened.run, result)
    ledger.remove()
    return result


def measured_metrics(opened: OpenedRun, step: Step = quiet) -> Measured:
    """Measure the configured metrics on the split of the evaluation."""
    config, data = opened.experiment.evaluate, opened.data
    specimen = Specimen(
        opened.trained.model,
        data.batches(config.split),
        lambda: data.batches("train"),
        config.seed,
        config.batch_size,
        step,
    )
    return measure(opened.metrics, specimen) if opened.metrics else Measured()


def open_ledger(opened: OpenedRun) -> Ledger:
    """Open the ledger in which the run stores values of items until all are computed."""
    if not opened.experiment.evaluate.bounds:
        return Ledger()
    made_with = opened.made_with()
    keys = ("split", "batch_size", "bounds", "samples", "given_from", "given_samples", "seed")
    made_with["config"] = {key: made_with["config"][key] for key in keys}
    made_with["format"] = CELLS_SINCE
    accelerator = opened.accelerator
    return Ledger(
        opened.run.evaluation_parts,
        made_with,
        accelerator.process_index,
        accelerator.num_processes,
    )


def keep_items(opened: OpenedRun, items: dict[str, Tensor]) -> None:
    """Write the nats of each item, and the settings that they depend on, beside the statistics."""
    write_items(opened.run, items, item_source(opened))


def item_source(opened: OpenedRun) -> dict[str, str]:
    """The model and the items that an evaluation belongs to."""
    return {
        "weights": opened.weights,
        "data": opened.data.source.fingerprint(),
        "split": opened.experiment.evaluate.split,
    }


def earlier_cells(opened: OpenedRun) -> dict[str, Any]:
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


def _refuse_other_keys(overrides: Sequence[str]) -> None:
    for override in overrides:
        if not override.startswith(("evaluate.", "metrics.", "metrics=", "data.")):
            raise UsageError(
                f"-s {override}: the model is trained already; only evaluate.…, metrics.… and "
                f"data.… may change here."
            )

"""A trained run, opened again: its folder, its model and its data."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from accelerate import Accelerator

from mmvae import __version__
from mmvae.data.batches import Batches
from mmvae.data.dataset import Data
from mmvae.evaluation.measurement import keys
from mmvae.evaluation.metric import Metric
from mmvae.experiments.build import make_accelerator, metrics, open_experiment_data
from mmvae.experiments.classifier_data import classifier_batches, with_classifier_data
from mmvae.experiments.compatibility import changed_data, refuse_another_model
from mmvae.experiments.config import load_experiment
from mmvae.experiments.experiment import Experiment
from mmvae.foundations import storage
from mmvae.foundations.errors import RunError, UsageError
from mmvae.foundations.progress import Progress, Remarks
from mmvae.foundations.surroundings import exclusive
from mmvae.inference.model_folder import built, kept, saved_model, weights_step
from mmvae.inference.trained_model import TrainedModel
from mmvae.plugins.loader import load_registry
from mmvae.plugins.provenance import require_plugins
from mmvae.plugins.registry import Registry
from mmvae.runs.checkpoint_folder import Checkpoint
from mmvae.runs.run import Run
from mmvae.training.config import TrainConfig
from mmvae.training.distributed import leading

WAIT_S = 7 * 24 * 3600  # processes share hours of work, and wait for the slowest
FORMAT = 3  # of ``evaluation.json``: changes with the meaning of statistics or the choice of items


@dataclass
class OpenRun:
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
        classifier_items: Gives the training items of the classifiers for coherence.
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
    classifier_items: Callable[[], Batches]

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
    progress: Progress | None = None,
) -> OpenRun:
    """Open a run's model and its data.

    Args:
        run: The run's folder.
        data: The items again, if the run was trained on data in memory.
        overrides: ``"key=value"`` texts for ``evaluate``, ``metrics`` and ``data``.
        registry: The plugins to choose from; default: the installed ones.
        progress: Reports if the run is unfinished, or the data differ from those that it was
            trained on; default: standard error.

    Raises:
        RunError: There is no run, or it has no model yet.
        CheckpointError: The model is damaged.
        ConfigError: An override is wrong, or would change the model.
        DataError: The data cannot be read again.
    """
    registry, shown = registry or load_registry(), progress or Remarks()
    folder = Run.open(storage.named_path(run, "run"))
    _refuse_other_keys(overrides)
    require_plugins(folder.plugins(), registry, folder.folder)
    loaded = load_experiment(folder.resolved, overrides, registry)
    experiment, received = loaded.experiment, loaded.received
    saved = saved_model(folder.folder)
    trained = built(saved, folder.folder, registry)
    refuse_another_model(loaded, trained.model, folder)
    states = {m: codec.state for m, codec in trained.codecs.items()}
    train = experiment.train
    config = TrainConfig(device=train.device, threads=train.threads)
    accelerator = make_accelerator(config, patience_s=WAIT_S)
    trained.model.to(accelerator.device)
    found = open_experiment_data(experiment, registry, data, accelerator, states, received)
    classifier_experiment = with_classifier_data(experiment, registry)

    def classifier_items() -> Batches:
        if classifier_experiment.data == experiment.data:
            return found.batches("train")
        return classifier_batches(
            experiment, registry, data, trained.codecs, accelerator.device, received
        )

    if remark := changed_data(folder, found):
        shown.say(remark)
    digest = saved.digests[kept(saved)]
    step, steps = weights_step(saved), _steps(folder, saved)
    if not folder.model.is_dir() and leading(accelerator):
        best = "" if step == saved.step else f", with the best weights so far, of step {step}"
        shown.say(
            f"The training of {folder.folder} is unfinished: its checkpoint of step {saved.step} "
            f"is evaluated{best}. Unless it is being trained now, `mmvae resume {folder.folder}` "
            f"resumes it."
        )
    return OpenRun(
        folder,
        experiment,
        trained,
        found,
        step,
        steps,
        digest,
        accelerator,
        metrics(experiment, registry, found.codecs),
        classifier_items,
    )


def _steps(run: Run, saved: Checkpoint) -> int:
    """Total number of steps; a final model's own step is that of its weights."""
    if run.model.is_dir():
        with suppress(RunError):  # a damaged status does not prevent evaluation
            return run.status().step
    return saved.step


def _refuse_other_keys(overrides: Sequence[str]) -> None:
    for override in overrides:
        if not override.startswith(("evaluate.", "metrics.", "metrics=", "data.")):
            raise UsageError(
                f"-s {override}: the model is trained already; only evaluate.…, metrics.… and "
                f"data.… may change here."
            )

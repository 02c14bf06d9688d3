"""One session of training in a run folder: its lock, its status, its final model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from accelerate import Accelerator

from mmvae.data.dataset import Data
from mmvae.data.extreme_values import extreme_items, naming_items
from mmvae.data.item_names import told_alike
from mmvae.experiments.config import Experiment
from mmvae.foundations import storage
from mmvae.foundations.errors import (
    ConfigError,
    DataError,
    Interrupted,
    MmvaeError,
    PluginError,
    RunError,
    Terminated,
    TrainingError,
)
from mmvae.foundations.randomness import kept_global
from mmvae.inference.model_folder import save_model
from mmvae.inference.trained_model import TrainedModel
from mmvae.models.base import Model, Trainable
from mmvae.runs.checkpoint import Checkpoint
from mmvae.runs.run import Run
from mmvae.training.distributed import everyone_follows
from mmvae.training.observer import Observer
from mmvae.training.out_of_memory import memory_for_networks
from mmvae.training.progress import LoggedProgress, Progress
from mmvae.training.state import load_weights
from mmvae.training.step import Stepper
from mmvae.training.stop_conditions import Limits
from mmvae.training.trainer import Trainer


@dataclass(frozen=True)
class Result:
    """The outcome of a training.

    Attributes:
        outcome: ``"finished"`` or ``"stopped"`` (by a limit).
        run: The run's folder, or None if nothing was stored.
        model: The trained model: the best weights by validation, or the last ones.
        steps: Total number of optimizer steps.
    """

    outcome: str
    run: Path | None
    model: TrainedModel
    steps: int


def run_training(
    experiment: Experiment,
    materials: Data,
    trained: Trainable,
    run: Run | None,
    accelerator: Accelerator,
    limits: Limits,
    progress: Progress | None,
    saved: Checkpoint | None = None,
    changed: str | None = None,
    observers: Sequence[Observer] = (),
) -> Result:
    """Train in an existing run folder; keep its status up to date, whatever happens.

    Args:
        experiment: The experiment.
        materials: Its data.
        trained: Its model, with its initial weights, and the extensions around it.
        run: The run's folder, on the process that writes it.
        accelerator: Devices, precision, processes, trackers.
        limits: Limits that may end the training early.
        progress: Shows progress.
        saved: The checkpoint to resume from.
        changed: The whole config, if it differs from the run's: stored once it is known to fit.
        observers: The observers.
    """
    # Only the process with the run shows progress.
    progress = Progress() if run is None else LoggedProgress(progress or Progress(), run.log)
    model = trained.bare
    with held(run, accelerator), kept_global(accelerator.device), progress:
        trainer = None
        try:
            with memory_for_networks():
                trained.to(accelerator.device)
            validation = "validation" in materials.splits
            built = Trainer(
                Stepper(trained, materials.batches("train"), experiment.train, accelerator),
                materials.batches("validation") if validation else None,
                run,
                progress,
                experiment.evaluate.batch_size,
                observers=observers,
            )
            if saved is not None:
                built.checkpoints.restore(saved)
            trainer = built
            for doubt in materials.source.doubts() if run is not None and saved is None else ():
                progress.say(doubt)
            accelerator.init_trackers("tensorboard")
            if run is not None:
                if changed is not None:
                    storage.write_text(run.resolved, changed)
                if run.model.is_dir():  # until a new one is written, the latest checkpoint is used
                    storage.remove_folder(run.model)
                run.write_status("running", step=trainer.state.position.step, message="training")
            if experiment.evaluate.split not in materials.splits:
                progress.say(without_evaluation(experiment.evaluate.split, materials))
            if saved is None and run is not None:
                for m, codec in materials.codecs.items():
                    for phrase in told_alike(codec):
                        progress.say(f"Modality {m!r}: {phrase}.")
                for remark in extreme_items(materials):
                    progress.say(remark)
            with naming_items(materials):
                outcome = trainer.fit(limits)
            finish(trainer, model, run, outcome, accelerator)
        except BaseException as error:  # of any kind: the status must record how the run ended
            if run is not None:
                write_failure(run, error, trainer)
            raise
        finally:
            # Not end_training(): it would also end the process group, which belongs to the
            # caller, who may train again.
            for tracker in accelerator.trackers:
                tracker.finish()
    columns = {m: c.column or m for m, c in experiment.modalities.items()}
    if trainer.state.best_weights:
        load_weights(model, trainer.state.best_weights, "the best weights")
    else:
        load_weights(model, trainer.state.weights(), "the last weights")
    folder = None if run is None else run.folder
    return Result(
        outcome, folder, TrainedModel(model, columns, folder), trainer.state.position.step
    )


def without_evaluation(split: str, materials: Data) -> str:
    """A message if the data lack the split of evaluations."""
    others = ", ".join(name for name in materials.splits if name != "train") or "train"
    return (
        f"the data have no {split} split, which evaluate.split = {split!r} names: `mmvae "
        f"evaluate` and figures of items will want --split {others}"
    )


def finish(
    trainer: Trainer, model: Model, run: Run | None, outcome: str, accelerator: Accelerator
) -> None:
    """Write the final model and the status."""
    with everyone_follows(accelerator):
        if run is not None:
            position = trainer.state.position
            best = trainer.state.best_weights
            reached = position.best_step if best else position.step
            save_model(run.model, model, best or trainer.state.weights(), reached, run.plugins())
            state: Any = outcome
            run.write_status(state, step=position.step, epoch=trainer.stepper.epoch, exit_code=0)


def write_failure(run: Run, error: BaseException, trainer: Trainer | None) -> None:
    """Record in ``status.json`` how an unfinished run ended.

    Args:
        run: The run.
        error: The error that ended it.
        trainer: The training; None if it neither started nor resumed.
    """
    if trainer is None:
        step, epoch = reached(run)
    else:
        step, epoch = trainer.state.position.step, trainer.stepper.epoch
    code = error.exit_code if isinstance(error, (MmvaeError, Terminated)) else 1
    state: Any = "failed"
    if isinstance(error, (Interrupted, Terminated)):
        state = "preempted" if code == 75 else "stopped"
    elif isinstance(error, KeyboardInterrupt):
        state, code = "stopped", 130
    message = str(error) or type(error).__name__
    with suppress(TrainingError, RunError):  # the first error says more than this one
        run.check_in_place()
        run.write_status(state, step=step, epoch=epoch, exit_code=code, message=message)


@contextmanager
def refusals_leave_nothing(run: Run | None) -> Iterator[None]:
    """Remove a new run that config, data or a plugin keep from its first step.

    So the same command works once what was refused is mended. What fails later is kept, and so is
    a run whose status does not say where it failed.

    Args:
        run: The run that the block trains, on the process that writes it.
    """
    try:
        yield
    except (ConfigError, DataError, PluginError):
        if run is not None and failed_at_once(run) and run.saved_nothing:
            run.discard()
        raise


def failed_at_once(run: Run) -> bool:
    """True if the status can be read, and says that the run failed before its first step."""
    with suppress(RunError):  # damaged, so it does not say that
        status = run.status()
        return status.state == "failed" and status.step == 0
    return False


def reached(run: Run) -> tuple[int, int]:
    """The last step and epoch of a run in its status; zeros if that is damaged."""
    with suppress(RunError):  # it is about to be rewritten
        status = run.status()
        return status.step, status.epoch
    return 0, 0


@contextmanager
def held(run: Run | None, accelerator: Accelerator) -> Iterator[None]:
    """Hold the run's lock on the process with the run; if it is in use, all processes stop."""
    with ExitStack() as stack:
        with everyone_follows(accelerator):
            if run is not None:
                stack.enter_context(run.locked())
        yield

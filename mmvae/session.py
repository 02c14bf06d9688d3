"""One session of training in a run folder: its lock, its status, its final model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from accelerate import Accelerator

from mmvae import storage
from mmvae.config import Experiment
from mmvae.data.extremes import extreme_items, naming_items
from mmvae.data.loading import Data
from mmvae.data.names import told_alike
from mmvae.errors import (
    ConfigError,
    DataError,
    Interrupted,
    MmvaeError,
    PluginError,
    RunError,
    Terminated,
    TrainingError,
)
from mmvae.model_folder import save_model
from mmvae.models.protocol import Model, Trainable
from mmvae.randomness import kept_global
from mmvae.trained import TrainedModel
from mmvae.training.checkpoint import Checkpoint
from mmvae.training.loop import Limits, Trainer
from mmvae.training.memory import memory_for_networks
from mmvae.training.observer import Observer
from mmvae.training.processes import everyone_follows
from mmvae.training.progress import LoggedProgress, Progress
from mmvae.training.run import Run
from mmvae.training.state import load_weights


@dataclass(frozen=True)
class Result:
    """How a training ended.

    Attributes:
        outcome: ``"finished"`` or ``"stopped"`` (by a limit).
        run: The run's folder, or None if nothing was kept.
        model: The trained model: the best weights by validation, or the last ones.
        steps: Optimizer steps done in all.
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
    """Train in a run folder that exists; keep its status up to date, whatever happens.

    Args:
        experiment: The experiment.
        materials: Its data.
        trained: Its model, with its first weights, and the extensions around it.
        run: The run's folder, on the process that writes it.
        accelerator: Devices, precision, processes, trackers.
        limits: What may end the training early.
        progress: Where to show progress.
        saved: The checkpoint to go on from.
        changed: The whole config, if it is no longer the run's: kept once it is known to fit.
        observers: Who looks on.
    """
    # Only the process that has the run shows anything.
    progress = Progress() if run is None else LoggedProgress(progress or Progress(), run.log)
    model = trained.bare
    with held(run, accelerator), kept_global(accelerator.device), progress:
        trainer = None
        try:
            with memory_for_networks():
                trained.to(accelerator.device)
            validation = "validation" in materials.splits
            built = Trainer(
                trained,
                materials.batches("train"),
                materials.batches("validation") if validation else None,
                experiment.train,
                run,
                accelerator,
                progress,
                experiment.evaluate.batch_size,
                observers=observers,
            )
            if saved is not None:
                built.restore(saved)
            trainer = built
            for doubt in materials.source.doubts() if run is not None and saved is None else ():
                progress.say(doubt)
            accelerator.init_trackers("tensorboard")
            if run is not None:
                if changed is not None:
                    storage.write_text(run.resolved, changed)
                if run.model.is_dir():  # until there is a new one, the latest checkpoint counts
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
        except BaseException as error:  # of any kind: the status must say how the run ended
            if run is not None:
                write_failure(run, error, trainer)
            raise
        finally:
            # Not end_training(): it would also end the processes' group, which belongs to the
            # caller as much as the processes do, who may train again.
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
    """What to say of data that lack the split that evaluations are of."""
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
            run.write_status(state, step=position.step, epoch=trainer.epoch, exit_code=0)


def write_failure(run: Run, error: BaseException, trainer: Trainer | None) -> None:
    """Say in ``status.json`` how a run ended that did not finish.

    Args:
        run: The run.
        error: What ended it.
        trainer: Where the training stands; None if it did not come to begin, or to go on.
    """
    if trainer is None:
        step, epoch = reached(run)
    else:
        step, epoch = trainer.state.position.step, trainer.epoch
    code = error.exit_code if isinstance(error, (MmvaeError, Terminated)) else 1
    state: Any = "failed"
    if isinstance(error, (Interrupted, Terminated)):
        state = "preempted" if code == 75 else "stopped"
    elif isinstance(error, KeyboardInterrupt):
        state, code = "stopped", 130
    message = str(error) or type(error).__name__
    with suppress(TrainingError, RunError):  # the error itself says more than this one would
        run.check_in_place()
        run.write_status(state, step=step, epoch=epoch, exit_code=code, message=message)


@contextmanager
def refusals_leave_nothing(run: Run | None) -> Iterator[None]:
    """Remove a new run that config, data or a plugin keep from its first step.

    So the same command works once what was refused is mended. What fails later is kept.

    Args:
        run: The run that the block trains, on the process that writes it.
    """
    try:
        yield
    except (ConfigError, DataError, PluginError):
        if run is not None and reached(run)[0] == 0 and run.saved_nothing:
            run.discard()
        raise


def reached(run: Run) -> tuple[int, int]:
    """Step and epoch at which a run was left, by its status; none if that is damaged."""
    with suppress(RunError):  # it is about to be written anew
        status = run.status()
        return status.step, status.epoch
    return 0, 0


@contextmanager
def held(run: Run | None, accelerator: Accelerator) -> Iterator[None]:
    """Hold the run's lock on the process that has the run; where it is in use, all stop."""
    with ExitStack() as stack:
        with everyone_follows(accelerator):
            if run is not None:
                stack.enter_context(run.locked())
        yield

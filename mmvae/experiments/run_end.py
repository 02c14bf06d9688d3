"""The end of a session in its run folder: final model and status, or the failure."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

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
from mmvae.inference.model_folder import save_model
from mmvae.runs.run import Run
from mmvae.training.distributed import everyone_follows
from mmvae.training.trainer import Trainer


def finish(trainer: Trainer, run: Run | None, outcome: str) -> None:
    """Write the final model and the status."""
    with everyone_follows(trainer.accelerator):
        if run is not None:
            position, best = trainer.state.position, trainer.state.best_weights
            reached = position.best_step if best else position.step
            weights, model = best or trainer.state.weights(), trainer.stepper.model
            save_model(run.model, model, weights, reached, run.plugins())
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

    The same command then works once the refused key or file is corrected. A run that fails later
    is kept, and so is a run whose status does not say where it failed.

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

"""The training loop: steps, and between them records, validation, checkpoints and stops."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from mmvae.data.batches import Batches
from mmvae.foundations.errors import Interrupted
from mmvae.foundations.progress import Progress
from mmvae.foundations.signals import EXIT_CODES, StopRequests
from mmvae.runs.run import Run
from mmvae.training.checkpoint_policy import CheckpointPolicy
from mmvae.training.distributed import everyone_follows, leading
from mmvae.training.observer import Observer, Watched
from mmvae.training.observers import Observers
from mmvae.training.out_of_memory import out_of_memory_advice
from mmvae.training.patience import Patience
from mmvae.training.records import Records
from mmvae.training.step import Stepper, unchecked_distributions
from mmvae.training.stop_conditions import Limits, StopConditions
from mmvae.training.validation import reduced, validate

T = TypeVar("T")


class Trainer:
    """Performs steps, and between them logs, validates, saves and stops.

    Args:
        stepper: Performs the steps; it has the model, the training split and the config.
        validation: The validation split, or None.
        run: Its folder on the leading process, None on the others.
        progress: Shows progress to people.
        validation_batch_size: Items per validation chunk.
        keeps: True if there is a run folder at all; without one nothing is saved.
        observers: The observers, on the main process.
    """

    def __init__(
        self,
        stepper: Stepper,
        validation: Batches | None,
        run: Run | None,
        progress: Progress,
        validation_batch_size: int = 500,
        keeps: bool = True,
        observers: Sequence[Observer] = (),
    ) -> None:
        self.stepper, self.config, self.state = stepper, stepper.config, stepper.state
        self.accelerator, self.order = stepper.accelerator, stepper.order
        self.validation, self.validation_batch_size = validation, validation_batch_size
        self.run, self.progress = run, progress
        self.records = Records(run, stepper.accelerator, progress, stepper.total_steps)
        self.checkpoints = CheckpointPolicy(stepper, run, self.records, keeps)
        self.stops, self.patience = StopConditions(stepper), Patience(stepper)
        self.observers = Observers(observers)
        self._logged = time.monotonic()

    def fit(self, limits: Limits | None = None) -> str:
        """Train until the last epoch, a limit, patience or a signal.

        Returns:
            ``"finished"`` or ``"stopped"`` (by a limit).

        Raises:
            Interrupted: SIGTERM or SIGINT came; the state is saved.
            TrainingError: A term became NaN, memory or the disk is full.
        """
        self.stops.begin(limits or Limits())
        self._logged = time.monotonic()
        self.stepper.trained.train()
        self._say_remarks()
        position = self.state.position
        with (
            StopRequests() as requests,
            self.records.opened(),
            out_of_memory_advice(self.config),
            self.checkpoints.way_on(),
            unchecked_distributions(),
        ):
            self.checkpoints.begin()
            self._let(self.observers.begin)
            while position.step < self.stepper.total_steps and not self.patience.exhausted:
                if (reason := self.stops.reason(requests)) is not None:
                    self.checkpoints.save()
                    return self._stop(reason)
                self.stepper.step(position.step)
                position.step += 1
                self.after_step(position.step)
            self._let(self.observers.end)
            self.checkpoints.save()
        return "finished"

    def after_step(self, done: int) -> None:
        """Log, validate, observe and save, as far as it is due after this step."""
        ends_epoch = self.order.ends_epoch(done - 1)
        if ends_epoch or done % self.config.log_every == 0:
            self.log(done)
        if ends_epoch and self.validation is not None:
            last = done == self.stepper.total_steps
            if self._epoch(done) % self.config.validate_every == 0 or last:
                self._validate(self.validation, done)
        if ends_epoch:
            self._observe(done)
        if self.checkpoints.due(done):
            self.checkpoints.save()

    def log(self, done: int) -> None:
        """Write the mean terms since the last record; stop if one is not finite."""
        rows = reduced(self.state.terms.stacked(), self.accelerator)
        items = float(rows[:, -1].sum())
        means = self.state.terms.means(rows)
        now = time.monotonic()
        rates = {
            "learning_rate": self.stepper.learning_rate(done - 1),
            "beta": self.stepper.beta(done - 1),
            "seconds": now - self.stops.began,
            "items_per_second": items / max(now - self._logged, 1e-9),
        }
        self._logged = now
        self._write("train", done, {**means, **rates})
        self.checkpoints.status.write_at_intervals()

    def _validate(self, validation: Batches, done: int) -> None:
        average = self.state.average
        means = validate(
            self.stepper.model if average is None else average.model,
            validation,
            self.validation_batch_size,
            self.config.seed,
            self.accelerator,
            when=f"in the validation after step {done}",
        )
        self.patience.compare(means[self.config.monitor], done)
        self._write("validation", done, means)
        self._logged = time.monotonic()
        if self.patience.exhausted:
            self.progress.say(self.patience.remark)

    def _observe(self, done: int) -> None:
        """Call the observers that are due, and record their results."""
        if not self.observers.due(self._epoch(done), self.config.epochs):
            return
        found = self._let(self.observers.look)
        if found:
            self._write("observed", done, found)
        self._logged = time.monotonic()

    def _let(self, call: Callable[[Watched], T]) -> T | None:
        """Call observers on the main process, while the others wait."""
        if not self.observers.observers:
            return None
        with everyone_follows(self.accelerator):
            return call(self._watched()) if leading(self.accelerator) else None

    def _watched(self) -> Watched:
        average, step = self.state.average, self.state.position.step
        return Watched(
            self.stepper.model if average is None else average.model,
            self.stepper.train,
            self.validation,
            self.config.seed,
            self.validation_batch_size,
            self.run.folder if self.run else None,
            step,
            step // self.order.steps_per_epoch,
            self.config.epochs,
        )

    def _epoch(self, done: int) -> int:
        """The epoch after ``done`` steps, counted from 1."""
        return self.order.epoch(done - 1) + 1

    def _write(self, split: str, done: int, found: Mapping[str, Any]) -> None:
        record = {"step": done, "epoch": self._epoch(done), "split": split, **found}
        self.records.write(record, self.stops.seconds_left(done))

    def _say_remarks(self) -> None:
        """Report, before the first step, if this training is unusual."""
        items, size = len(self.stepper.train), self.config.batch_size
        if items < size:
            self.progress.say(
                f"the {items} training items are fewer than a batch of "
                f"train.batch_size = {size}: each step takes all of them"
            )
        for remark in self.stepper.model.remarks():
            self.progress.say(remark)
        if self.patience.exhausted:
            self.progress.say(self.patience.remark)

    def _stop(self, reason: str | int) -> str:
        step = self.state.position.step
        where = "" if self.run is None else f" Resume with: mmvae resume {self.run.folder}"
        if isinstance(reason, int):
            name = {code: number.name for number, code in EXIT_CODES.items()}[reason]
            raise Interrupted(f"Stopped by {name} after step {step}, saved.{where}", reason)
        self.progress.say(f"stopped by {reason} after step {step}, saved.{where}")
        return "stopped"

"""The training loop: steps, and between them records, validation, checkpoints and stops."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from accelerate import Accelerator

from mmvae.data.batches import Batches
from mmvae.foundations.errors import CheckpointError, Interrupted, NonFinite
from mmvae.foundations.signals import EXIT_CODES, StopRequests
from mmvae.models.base import Trainable
from mmvae.runs.checkpoint import Checkpoint, CheckpointStore, first_non_finite, step_of
from mmvae.runs.metrics_log import check_prefix
from mmvae.runs.run import MetricsLog, Run
from mmvae.training.config import FIXED_KEYS, TrainConfig
from mmvae.training.distributed import agreed, everyone_follows, leading
from mmvae.training.observer import Observer, Watched
from mmvae.training.observers import Audience
from mmvae.training.out_of_memory import out_of_memory_advice
from mmvae.training.progress import Progress
from mmvae.training.state import Tensors
from mmvae.training.step import Stepper, unchecked_distributions
from mmvae.training.validation import reduced, validate

_STEPS_BETWEEN_TALKS = 10
_STATUS_S = 5.0

T = TypeVar("T")


@dataclass(frozen=True)
class Limits:
    """Limits that may end a training before its last epoch.

    Attributes:
        max_steps: Stop after this total number of steps.
        max_seconds: Stop this many seconds after the start of this process's training.
    """

    max_steps: int | None = None
    max_seconds: float | None = None


class Trainer(Stepper):
    """Performs steps, and between them logs, validates, saves and stops.

    Args:
        trained: The model, with the extensions around it, on the accelerator's device.
        train: The training split.
        validation: The validation split, or None.
        config: The ``[train]`` section.
        run: Its folder on the leading process, None on the others.
        keeps: True if there is a run folder at all; without one nothing is saved.
        accelerator: Devices, precision, processes, trackers.
        progress: Shows progress to people.
        validation_batch_size: Items per validation chunk.
        observers: The observers, on the main process.
    """

    def __init__(
        self,
        trained: Trainable,
        train: Batches,
        validation: Batches | None,
        config: TrainConfig,
        run: Run | None,
        accelerator: Accelerator,
        progress: Progress,
        validation_batch_size: int = 500,
        keeps: bool = True,
        observers: Sequence[Observer] = (),
    ) -> None:
        super().__init__(trained, train, config, accelerator)
        self.validation, self.validation_batch_size = validation, validation_batch_size
        self.run, self.progress, self.keeps = run, progress, keeps
        self.audience = Audience(observers)
        self.store = CheckpointStore(run.checkpoints, config.keep_checkpoints) if run else None
        self.metrics: MetricsLog | None = None
        self._began = self._logged = self._saved = time.monotonic()
        self._first_step, self._saved_step, self._told = 0, -1, time.monotonic()
        self._limits = Limits()
        self._restored: Path | None = None

    # -- the loop ------------------------------------------------------------------------------

    def fit(self, limits: Limits | None = None) -> str:
        """Train until the last epoch, a limit, patience or a signal.

        Returns:
            ``"finished"`` or ``"stopped"`` (by a limit).

        Raises:
            Interrupted: SIGTERM or SIGINT came; the state is saved.
            TrainingError: A term became NaN, memory or the disk is full.
        """
        self._limits = limits = limits or Limits()
        self._began = self._logged = self._saved = time.monotonic()
        position = self.state.position
        self._first_step = position.step
        self.trained.train()
        if len(self.train) < self.config.batch_size:
            self.progress.say(
                f"the {len(self.train)} training items are fewer than a batch of "
                f"train.batch_size = {self.config.batch_size}: each step takes all of them"
            )
        for remark in self.model.remarks():
            self.progress.say(remark)
        if self._out_of_patience():
            self._say_stopped_early()
        with (
            StopRequests() as requests,
            self._metrics_log(),
            out_of_memory_advice(self.config),
            self._way_on(),
            unchecked_distributions(),
        ):
            self._let(self.audience.begin)
            while position.step < self.total_steps and not self._out_of_patience():
                if (reason := self._reason_to_stop(requests, limits)) is not None:
                    self.save()
                    return self._stop(reason)
                self.step(position.step)
                position.step += 1
                self._after_step(position.step)
            self._let(self.audience.end)
            self.save()
        return "finished"

    # -- between steps -------------------------------------------------------------------------

    def _after_step(self, done: int) -> None:
        ends_epoch = self.order.ends_epoch(done - 1)
        if ends_epoch or done % self.config.log_every == 0:
            self.log(done)
        if ends_epoch and self.validation is not None:
            epoch = self.order.epoch(done - 1) + 1
            if epoch % self.config.validate_every == 0 or done == self.total_steps:
                self._validate(done)
        if ends_epoch:
            self._observe(done)
        if self._checkpoint_due(done):
            self.save()

    def log(self, done: int) -> None:
        """Write the mean terms since the last record; stop if one is not finite."""
        rows = reduced(self.state.terms.stacked(), self.accelerator)
        items = float(rows[:, -1].sum())
        means = self.state.terms.means(rows)
        now = time.monotonic()
        record = {
            "step": done,
            "epoch": self.order.epoch(done - 1) + 1,
            "split": "train",
            **means,
            "learning_rate": self._learning_rate(done - 1),
            "beta": self._warmup_weight(done - 1),
            "seconds": now - self._began,
            "items_per_second": items / max(now - self._logged, 1e-9),
        }
        self._logged = now
        self._write(record)
        self._tell_status(now)

    def _tell_status(self, now: float) -> None:
        """Update ``status.json``, but not at every record of a quick training."""
        if self.run is not None and now - self._told >= _STATUS_S:
            self.run.check_in_place()
            self._write_status()

    def _write_status(self) -> None:
        assert self.run is not None
        self._told = time.monotonic()
        step = self.state.position.step
        self.run.write_status("running", step=step, epoch=self.epoch, message="training")

    def _validate(self, done: int) -> None:
        assert self.validation is not None
        average = self.state.average
        model = self.model if average is None else average.model
        means = validate(
            model,
            self.validation,
            self.validation_batch_size,
            self.config.seed,
            self.accelerator,
            when=f"in the validation after step {done}",
        )
        value = means[self.config.monitor]
        if self._all_begun(done):  # earlier weights lack what a later phase trains
            self._compare(value, done)
        epoch = self.order.epoch(done - 1) + 1
        self._write({"step": done, "epoch": epoch, "split": "validation", **means})
        self._logged = time.monotonic()
        if self._out_of_patience():
            self._say_stopped_early()

    def _compare(self, value: float, done: int) -> None:
        """Keep the present weights if they are the best so far; else count, for patience."""
        position = self.state.position
        if position.best is None or value > position.best:
            position.best, position.best_step, position.waiting = value, done, 0
            self.state.keep_best()
        else:
            position.waiting = 0 if self._warming_up(done) else position.waiting + 1

    def _warming_up(self, done: int) -> bool:
        """True while β or the learning rate still rises, so that better weights are expected."""
        rising = done < self.config.schedule_warmup_steps
        return rising or self._warmup_weight(max(done - 1, 0)) < 1

    def _all_begun(self, done: int) -> bool:
        """True if every phase of this training has begun; that of a fitted prior begins late."""
        epochs = self.config.epochs
        begun = [p.first_epoch for p in self.phases if p.first_epoch < epochs]
        return done > max(begun) * self.order.steps_per_epoch

    def _observe(self, done: int) -> None:
        """Call the observers that are due, and record their results."""
        epoch = self.order.epoch(done - 1) + 1
        if not self.audience.due(epoch, self.config.epochs):
            return
        found = self._let(self.audience.look)
        if found:
            self._write({"step": done, "epoch": epoch, "split": "observed", **found})
        self._logged = time.monotonic()

    def _let(self, call: Callable[[Watched], T]) -> T | None:
        """Call observers on the main process, while the others wait."""
        if not self.audience.observers:
            return None
        with everyone_follows(self.accelerator):
            return call(self._watched()) if leading(self.accelerator) else None

    def _watched(self) -> Watched:
        average, step = self.state.average, self.state.position.step
        return Watched(
            self.model if average is None else average.model,
            self.train,
            self.validation,
            self.config.seed,
            self.validation_batch_size,
            self.run.folder if self.run else None,
            step,
            step // self.order.steps_per_epoch,
            self.config.epochs,
        )

    def _out_of_patience(self) -> bool:
        patience, position = self.config.patience, self.state.position
        if patience is None or self._warming_up(position.step):
            return False
        return position.waiting >= patience

    def _say_stopped_early(self) -> None:
        position = self.state.position
        self.progress.say(
            f"stopped early at step {position.step}: no better {self.config.monitor} on the "
            f"validation split for {position.waiting} validations; the best was "
            f"{position.best:.3f} at step {position.best_step}. To go on all the same, resume "
            f"with more patience: -s train.patience={2 * position.waiting}"
        )

    def _write(self, record: Mapping[str, Any]) -> None:
        if self.metrics is not None:
            self.metrics.append(dict(record))
        if self.accelerator.trackers:
            numbers = {
                f"{record['split']}/{k}": v for k, v in record.items() if isinstance(v, float)
            }
            self.accelerator.log(numbers, step=record["step"])
        if leading(self.accelerator):
            self.progress.record(record, self.total_steps, self._seconds_left(record["step"]))

    def _seconds_left(self, done: int) -> float:
        """Seconds until the last step, or until an earlier limit of this session."""
        since, limits = time.monotonic() - self._began, self._limits
        steps = max(done - self._first_step, 1)
        last = self.total_steps if limits.max_steps is None else limits.max_steps
        left = since / steps * max(min(last, self.total_steps) - done, 0)
        return (
            left if limits.max_seconds is None else min(left, max(limits.max_seconds - since, 0))
        )

    # -- stopping and saving -------------------------------------------------------------------

    def _reason_to_stop(self, requests: StopRequests, limits: Limits) -> str | int | None:
        """The reason to stop before the next step, if any; processes agree, to stop together."""
        step = self.state.position.step
        if limits.max_steps is not None and step >= limits.max_steps:
            return "--max-steps"
        if not self._asks(step):
            return None
        reason = 0
        if requests.received is not None:
            reason = EXIT_CODES[requests.received]
        elif (
            limits.max_seconds is not None and time.monotonic() - self._began > limits.max_seconds
        ):
            reason = 1
        reason = agreed(reason, self.accelerator)
        return {0: None, 1: "--max-time"}.get(reason, reason)

    def _asks(self, step: int) -> bool:
        """True if processes communicate before this step; this makes them wait for each other."""
        return self._processes == 1 or step % _STEPS_BETWEEN_TALKS == 0

    def _stop(self, reason: str | int) -> str:
        step = self.state.position.step
        where = "" if self.run is None else f" Go on with: mmvae resume {self.run.folder}"
        if isinstance(reason, int):
            name = {code: number.name for number, code in EXIT_CODES.items()}[reason]
            raise Interrupted(f"Stopped by {name} after step {step}, saved.{where}", reason)
        self.progress.say(f"stopped by {reason} after step {step}, saved.{where}")
        return "stopped"

    def _checkpoint_due(self, done: int) -> bool:
        every = self.config.checkpoint_every
        if every is not None and done % every == 0:
            return True
        if not self._asks(done):
            return False
        due = time.monotonic() - self._saved >= 60.0 * self.config.checkpoint_minutes
        return bool(agreed(int(due), self.accelerator))

    def save(self) -> None:
        """Save a checkpoint, unless the state is not finite.

        Raises:
            TrainingError: A weight or a term is not finite, or the disk is full; earlier
                checkpoints are intact.
        """
        position = self.state.position
        if not self.keeps or position.step == self._saved_step:
            return
        self._mend()
        if self.metrics is not None:
            self.metrics.flush()
            position.metrics_offset = self.metrics.offset
            position.metrics_sha256 = self.metrics.sha256
        tensors = self._finite_tensors()
        with everyone_follows(self.accelerator):
            if self.store is not None and self.run is not None:
                self.run.check_in_place()
                self.store.save(position.step, tensors, self.state.numbers())
                self._write_status()
        self._saved, self._saved_step = time.monotonic(), position.step
        self.progress.say(f"saved step {position.step}")

    def _mend(self) -> None:
        """Put back what others removed from the run's folder, as far as it is known, and say so.

        Raises:
            RunError: The folder itself was removed, moved or replaced.
        """
        with everyone_follows(self.accelerator):
            if self.run is None or self.store is None:
                return
            self.run.check_in_place()
            records = None if self.metrics is None else self.metrics.mend()
            for remark in (self.run.mend(), records, self.store.robbed):
                if remark is not None:
                    self.progress.say(f"warning: {remark}")

    @contextmanager
    def _way_on(self) -> Iterator[None]:
        """Add to an error about NaN how to resume: from which step, and with which keys.

        Raises:
            NonFinite: The block did.
        """
        try:
            yield
        except NonFinite as error:
            if self.run is None or self.store is None:
                raise
            where = "begins again from the first step"
            if self.store.robbed:
                where = "is not possible any more, since all checkpoints were removed"
            elif not self.store.empty:
                step = step_of(self.store.find("latest"))
                where = f"goes on from the last good checkpoint, of step {step}"
            lower = f"train.learning_rate={self.config.learning_rate / 2:g}"
            told = (
                f"`mmvae resume {self.run.folder} -s {lower}` {where}; it takes any key of "
                f"[train] but {', '.join(FIXED_KEYS)}, and without a change it comes to the same."
            )
            remedy = f"{error.remedy} {told}".lstrip()
            raise NonFinite(error.message, error.split, error.rows, remedy) from error

    def _finite_tensors(self) -> Tensors:
        terms, step = self.state.terms, self.state.position.step
        tensors = self.state.tensors()
        if terms.rows:
            rows = reduced(terms.stacked(), self.accelerator)
            terms.check(rows)
            tensors["terms"] = {"rows": rows}
        bad = first_non_finite(tensors)
        if bad is not None:
            raise NonFinite(
                f"{bad} is not finite after step {step}; training stopped.",
                remedy="Lower train.learning_rate or set train.clip_norm.",
            )
        return tensors

    def restore(self, checkpoint: Checkpoint) -> None:
        """Resume from a checkpoint; see :meth:`TrainingState.restore`.

        Raises:
            CheckpointError: It does not fit, or is of a step after the last of this training.
            RunError: ``metrics.jsonl`` does not begin with the lines recorded by the checkpoint.
        """
        per_epoch = self.order.steps_per_epoch
        begun = [p.name for p in self.phases if checkpoint.step > p.first_epoch * per_epoch]
        self.state.restore(checkpoint, begun)
        position = self.state.position
        if position.step > self.total_steps:
            raise CheckpointError(
                f"{checkpoint.path} is of step {position.step}, but train.epochs = "
                f"{self.config.epochs} with these data ends at step {self.total_steps}. Resume "
                f"with more epochs: -s train.epochs=N, or --from an earlier checkpoint."
            )
        with everyone_follows(self.accelerator):
            if self.run is not None:
                metrics = self.run.metrics
                check_prefix(metrics, position.metrics_offset, position.metrics_sha256)
        self._restored = checkpoint.path
        self._saved_step = self.state.position.step
        if not leading(self.accelerator):  # the main process holds the sum over all
            self.state.terms.blank()

    @contextmanager
    def _metrics_log(self) -> Iterator[None]:
        """Open ``metrics.jsonl``, truncated to the steps done.

        First the checkpoint resumed from becomes the latest one: a later one records more lines.
        """
        if self.run is None:
            yield
            return
        self.run.mend()
        self.metrics = MetricsLog(self.run.metrics)
        try:
            if self.store is not None and self._restored is not None:
                self.store.go_on_from(self._restored)
            self.metrics.truncate(self.state.position.metrics_offset)
            yield
        finally:
            self.metrics.flush()
            self.metrics.close()
            self.metrics = None

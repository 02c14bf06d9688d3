"""The checkpoint policy of a training: when it saves, what it saves, and how it resumes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mmvae.foundations.errors import CheckpointError, NonFinite
from mmvae.runs.checkpoint_folder import Checkpoint, first_non_finite, step_of
from mmvae.runs.checkpoint_store import CheckpointStore
from mmvae.runs.metrics_log import check_prefix
from mmvae.runs.run import Run
from mmvae.training.config import FIXED_KEYS
from mmvae.training.distributed import agreed, everyone_follows, leading, talks
from mmvae.training.records import Records
from mmvae.training.running_status import RunningStatus
from mmvae.training.state import Tensors
from mmvae.training.step import Stepper
from mmvae.training.validation import reduced


class CheckpointPolicy:
    """Saves the state of a training in its run, by steps and by time, and restores it.

    Args:
        stepper: Performs the steps; its state is saved.
        run: The folder on the leading process, None on the others.
        records: The records; a checkpoint notes those written before it.
        keeps: True if there is a run folder at all; without one nothing is saved.
    """

    def __init__(
        self, stepper: Stepper, run: Run | None, records: Records, keeps: bool = True
    ) -> None:
        self.stepper, self.config, self.accelerator = stepper, stepper.config, stepper.accelerator
        self.run, self.records, self.keeps = run, records, keeps
        self.status = RunningStatus(run, stepper)
        kept = self.config.keep_checkpoints
        self.store = None if run is None else CheckpointStore(run.checkpoints, kept)
        self._saved, self._saved_step = time.monotonic(), -1
        self._restored: Path | None = None

    def begin(self) -> None:
        """Start the clock, and drop what was recorded after the present step.

        First the checkpoint resumed from becomes the latest one: a later one records more lines.
        """
        self._saved = time.monotonic()
        if self.store is not None and self._restored is not None:
            self.store.go_on_from(self._restored)
        self.records.truncate(self.stepper.state.position)

    def due(self, done: int) -> bool:
        """True if a checkpoint is due after this step, by steps or by time."""
        every = self.config.checkpoint_every
        if every is not None and done % every == 0:
            return True
        if not talks(done, self.accelerator):
            return False
        due = time.monotonic() - self._saved >= 60.0 * self.config.checkpoint_minutes
        return bool(agreed(int(due), self.accelerator))

    def save(self) -> None:
        """Save a checkpoint, unless the state is not finite.

        Raises:
            TrainingError: A weight or a term is not finite, or the disk is full; earlier
                checkpoints are intact.
        """
        state = self.stepper.state
        position = state.position
        if not self.keeps or position.step == self._saved_step:
            return
        self._repair()
        self.records.mark(position)
        tensors = self._finite_tensors()
        with everyone_follows(self.accelerator):
            if self.store is not None and self.run is not None:
                self.run.check_in_place()
                self.store.save(position.step, tensors, state.numbers())
                self.status.write()
        self._saved, self._saved_step = time.monotonic(), position.step
        self.records.progress.say(f"saved step {position.step}")

    def _repair(self) -> None:
        """Put back what others removed from the run's folder, as far as it is known, and say so.

        Raises:
            RunError: The folder itself was removed, moved or replaced.
        """
        with everyone_follows(self.accelerator):
            if self.run is None or self.store is None:
                return
            self.run.check_in_place()
            metrics, places = self.records.metrics, self.run.repair()
            lines = None if metrics is None else metrics.repair()
            for remark in (places, lines, self.store.removed_remark):
                if remark is not None:
                    self.records.progress.say(f"warning: {remark}")

    def _finite_tensors(self) -> Tensors:
        state = self.stepper.state
        tensors = state.tensors()
        if state.terms.rows:
            rows = reduced(state.terms.stacked(), self.accelerator)
            state.terms.check(rows)
            tensors["terms"] = {"rows": rows}
        bad = first_non_finite(tensors)
        if bad is not None:
            raise NonFinite(
                f"{bad} is not finite after step {state.position.step}; training stopped.",
                remedy="Lower train.learning_rate or set train.clip_norm.",
            )
        return tensors

    def restore(self, checkpoint: Checkpoint) -> None:
        """Resume from a checkpoint; see :meth:`TrainingState.restore`.

        Raises:
            CheckpointError: It does not fit, or is of a step after the last of this training.
            RunError: ``metrics.jsonl`` does not begin with the lines recorded by the checkpoint.
        """
        stepper, state = self.stepper, self.stepper.state
        per_epoch = stepper.order.steps_per_epoch
        begun = [p.name for p in stepper.phases if checkpoint.step > p.first_epoch * per_epoch]
        state.restore(checkpoint, begun)
        position = state.position
        if position.step > stepper.total_steps:
            raise CheckpointError(
                f"{checkpoint.path} is of step {position.step}, but train.epochs = "
                f"{self.config.epochs} with these data ends at step {stepper.total_steps}. Resume "
                f"with more epochs: -s train.epochs=N, or --from an earlier checkpoint."
            )
        with everyone_follows(self.accelerator):
            if self.run is not None:
                metrics = self.run.metrics
                check_prefix(metrics, position.metrics_offset, position.metrics_sha256)
        self._restored, self._saved_step = checkpoint.path, position.step
        if not leading(self.accelerator):  # the main process holds the sum over all
            state.terms.blank()

    @contextmanager
    def way_on(self) -> Iterator[None]:
        """Add to an error about NaN how to resume: from which step, and with which keys.

        Raises:
            NonFinite: The block did.
        """
        try:
            yield
        except NonFinite as error:
            if self.run is None or self.store is None:
                raise
            where = "restarts from the first step"
            if self.store.removed_remark:
                where = "is not possible any more, since all checkpoints were removed"
            elif not self.store.empty:
                step = step_of(self.store.find("latest"))
                where = f"resumes from the last good checkpoint, of step {step}"
            lower = f"train.learning_rate={self.config.learning_rate / 2:g}"
            advice = (
                f"`mmvae resume {self.run.folder} -s {lower}` {where}; it takes any key of "
                f"[train] except {', '.join(FIXED_KEYS)}. Without a change the same error recurs."
            )
            remedy = f"{error.remedy} {advice}".lstrip()
            raise NonFinite(error.message, error.split, error.rows, remedy) from error

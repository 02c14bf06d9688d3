"""Patience: keep the best weights by validation, and end a training that finds no better."""

from __future__ import annotations

from mmvae.training.step import Stepper


class Patience:
    """Compares validations, keeps the best weights, and ends a training that gets no better.

    Args:
        stepper: Performs the steps; its state holds the best weights.
    """

    def __init__(self, stepper: Stepper) -> None:
        self.stepper, self.config = stepper, stepper.config

    @property
    def exhausted(self) -> bool:
        """True if the training ends here."""
        patience, position = self.config.patience, self.stepper.state.position
        if patience is None or self._warming_up(position.step):
            return False
        return position.waiting >= patience

    @property
    def remark(self) -> str:
        """A message that patience ended the training."""
        position = self.stepper.state.position
        return (
            f"stopped early at step {position.step}: no better {self.config.monitor} on the "
            f"validation split for {position.waiting} validations; the best was "
            f"{position.best:.3f} at step {position.best_step}. To continue, resume "
            f"with more patience: -s train.patience={2 * position.waiting}"
        )

    def compare(self, value: float, done: int) -> None:
        """Keep the present weights if they are the best so far; else count.

        Args:
            value: The monitored statistic after step ``done``; it rises as the model gets better.
            done: The number of steps. Weights count once every phase has begun: earlier ones lack
                what a later phase trains.
        """
        if not self._all_begun(done):
            return
        position = self.stepper.state.position
        if position.best is None or value > position.best:
            position.best, position.best_step, position.waiting = value, done, 0
            self.stepper.state.keep_best()
        else:
            position.waiting = 0 if self._warming_up(done) else position.waiting + 1

    def _warming_up(self, done: int) -> bool:
        """True while β or the learning rate still rises, so that better weights are expected."""
        rising = done < self.config.schedule_warmup_steps
        return rising or self.stepper.beta(max(done - 1, 0)) < 1

    def _all_begun(self, done: int) -> bool:
        """True if every phase of this training has begun; that of a fitted prior begins late."""
        epochs = self.config.epochs
        begun = [p.first_epoch for p in self.stepper.phases if p.first_epoch < epochs]
        return done > max(begun) * self.stepper.order.steps_per_epoch

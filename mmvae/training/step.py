"""One optimizer step on a global batch: independent of the number of processes and parts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import DistributedDataParallelKwargs, broadcast
from torch import Tensor, nn
from torch.distributions import Distribution

from mmvae.data.batches import Batch, Batches, training_view
from mmvae.data.sampler import Order, never_empty, share
from mmvae.foundations.randomness import GLOBAL, StepDraws, derived_seed, permutation, seed_global
from mmvae.models.phase import Phase, Terms
from mmvae.models.trainable import Trainable
from mmvae.training.config import TrainConfig
from mmvae.training.ema import WeightAverage
from mmvae.training.optimizer import build_optimizer
from mmvae.training.schedule import learning_rate, warmup_weight, warmup_weight_of_step
from mmvae.training.state import TrainingState


class Objective(nn.Module):
    """A model's objective as a module, so that Accelerate can wrap it for processes and autocast.

    Args:
        model: The model, with the extensions around it.
    """

    def __init__(self, model: Trainable) -> None:
        super().__init__()
        self.model = model

    def forward(self, phase: str, batch: Batch, draws: StepDraws, weight: float) -> Terms:
        """See :meth:`mmvae.models.trainable.Trainable.objective`."""
        return self.model.objective(phase, batch, draws, weight)


class Stepper:
    """Performs optimizer steps of one model on one split.

    Args:
        trained: The model, with the extensions around it, on the accelerator's device.
        train: The training split.
        config: The ``[train]`` section.
        accelerator: Devices, precision, processes.
    """

    def __init__(
        self, trained: Trainable, train: Batches, config: TrainConfig, accelerator: Accelerator
    ) -> None:
        self.trained, self.model, self.train = trained, trained.bare, train
        self.config, self.accelerator = config, accelerator
        self.order = Order(len(train), config.batch_size, config.seed, config.drop_last)
        self.total_steps = config.epochs * self.order.steps_per_epoch
        self.phases = [phase for phase in trained.phases() if phase.parameters]  # others: frozen
        self._main = self.model.phases()[0].name
        self._settings = {p.name: config.model_copy(update=dict(p.settings)) for p in self.phases}
        bare = {p.name: build_optimizer(p.parameters, self._settings[p.name]) for p in self.phases}
        average = None if config.ema is None else self._average(config.ema)
        self.state = TrainingState(trained, bare, average)
        if config.compile:
            compile_networks(trained)
        accelerator.ddp_handler = DistributedDataParallelKwargs(
            find_unused_parameters=trained.skips_weights or len(self.phases) > 1
        )
        self.objective: Any = accelerator.prepare(Objective(trained))
        self.optimizers = {name: accelerator.prepare(o) for name, o in bare.items()}
        self._process, self._processes = accelerator.process_index, accelerator.num_processes
        self._seen: tuple[int, Tensor, Batch] | None = None

    def _average(self, decay: float) -> WeightAverage:
        """A running mean of the weights; for weights of a late phase it starts with that phase."""
        begins: dict[int, int] = {}
        for phase in self.phases:
            step = phase.first_epoch * self.order.steps_per_epoch
            for p in phase.parameters:
                begins[id(p)] = min(step, begins.get(id(p), step))
        return WeightAverage(self.model, decay, begins)

    @property
    def epoch(self) -> int:
        """Number of epochs begun."""
        return min(self.state.position.step // self.order.steps_per_epoch + 1, self.config.epochs)

    def beta(self, step: int) -> float:
        """β of a step (T11)."""
        if self.config.warmup_steps is not None:
            return warmup_weight_of_step(step, self.config.warmup_steps)
        return warmup_weight(self.order.epoch(step), self.config.warmup_epochs)

    def step(self, step: int) -> None:
        """One optimizer step per phase on the global batch of ``step``.

        Phases run in turn, each at the weights left by those before it. With ``together`` all
        gradients are computed before the first update.
        """
        seed = derived_seed(self.config.seed, "global", step, self._process)
        with GLOBAL:  # dropout uses these draws until the step is done
            seed_global(seed, self.train.device)
            self._update(step)

    def _update(self, step: int) -> None:
        items, epoch = self.order.items(step), self.order.epoch(step)
        weight = self.beta(step)
        self.trained.begin_step(epoch)
        waiting = []
        for phase in self.phases:
            if epoch < phase.first_epoch:
                continue
            if step == phase.first_epoch * self.order.steps_per_epoch:
                self._begin(phase)
            optimizer = self.optimizers[phase.name]
            for group in optimizer.param_groups:
                group["lr"] = self.learning_rate(step, self._settings[phase.name])
            optimizer.zero_grad()
            with alone(phase, self.phases):
                self.gradients(step, phase, items, weight)
            self._clip(phase)
            if self.trained.together:
                waiting.append(optimizer)
            else:
                optimizer.step()
        for optimizer in waiting:
            optimizer.step()
        self._seen = None
        if self.state.average is not None:
            self.state.average.update(self.model, step)

    @torch.no_grad()
    def _begin(self, phase: Phase) -> None:
        """Initialise a phase from the data, identically on all processes."""
        seed, size = self.config.seed, self.config.batch_size
        order = permutation(len(self.train), derived_seed(seed, "begin", phase.name), 0)

        def items() -> Iterator[tuple[Batch, StepDraws]]:
            for number, few in enumerate(torch.split(order, size)):
                n = len(few)
                draws = StepDraws(seed, "begin", number, slice(0, n), n, self.train.device)
                yield self.train.batch(few, draws, training_view), draws

        self.trained.begin_phase(phase.name, items())
        if self._processes > 1:
            for weight in (*phase.parameters, *self.trained.buffers()):
                broadcast(weight.data, from_process=0)

    def gradients(self, step: int, phase: Phase, items: Tensor, weight: float) -> None:
        """Accumulate the gradient of the mean loss over the global batch.

        Each part adds its sum over items / global items. So the result depends neither on the
        number of parts nor on the number of processes (which average their gradients).
        """
        parts, total = self.config.accumulation, len(items)
        for part in range(parts):
            rows = share(total, self._process * parts + part, self._processes * parts)
            seen, count = never_empty(rows)
            draws = StepDraws(self.config.seed, "train", step, seen, total, self.train.device)
            batch = self._batch(step, items[seen], draws)
            with nullcontext() if part == parts - 1 else self.accelerator.no_sync(self.objective):
                terms = self.objective(phase.name, batch, draws, weight)
                self.accelerator.backward(terms.loss[:count].sum() * (self._processes / total))
            label = "" if phase.name == self._main else phase.name
            self.state.terms.add(step, label, terms, count, items[seen])

    def _batch(self, step: int, items: Tensor, draws: StepDraws) -> Batch:
        """The items' batch; the phases of a step share it, unless it is divided into parts."""
        if self._seen is not None and self._seen[0] == step and self._seen[1].equal(items):
            return self._seen[2]
        batch = self.train.batch(items, draws, training_view)
        if len(self.phases) > 1:
            self._seen = step, items, batch
        return batch

    def _clip(self, phase: Phase) -> None:
        config = self._settings[phase.name]
        if config.clip_norm is not None:
            self.accelerator.clip_grad_norm_(phase.parameters, config.clip_norm)
        if config.clip_value is not None:
            self.accelerator.clip_grad_value_(phase.parameters, config.clip_value)

    def learning_rate(self, step: int, config: TrainConfig | None = None) -> float:
        """The learning rate of a step, by the settings of a phase or those of ``[train]``."""
        c = config or self.config
        return learning_rate(
            step,
            self.total_steps,
            c.learning_rate,
            c.schedule,
            c.schedule_warmup_steps,
            c.final_learning_rate,
        )


@contextmanager
def alone(phase: Phase, phases: Sequence[Phase]) -> Iterator[None]:
    """Hold the parameters of all other phases fixed, so that they get no gradient."""
    mine = {id(p) for p in phase.parameters}
    theirs = (p for other in phases for p in other.parameters if id(p) not in mine)
    others = [p for p in theirs if p.requires_grad]
    for parameter in others:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in others:
            parameter.requires_grad_(True)


@contextmanager
def unchecked_distributions() -> Iterator[None]:
    """Build distributions without validation of their arguments, which would wait for the device.

    Some of torch's validate in spite of the codec's arguments. The loop finds NaN itself, and
    names the term.
    """
    before = Distribution._validate_args
    Distribution.set_default_validate_args(False)
    try:
        yield
    finally:
        Distribution.set_default_validate_args(before)


def compile_networks(model: Trainable) -> None:
    """Compile trunks and decoders in place, which keeps the names of weights.

    The noise is drawn outside of them, so compiled and eager training draw the same samples.
    """
    for module in model.compilable():
        module.compile()

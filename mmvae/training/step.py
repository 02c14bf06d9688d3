"""One optimizer step on a global batch: the same for any number of processes and parts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

from accelerate import Accelerator
from accelerate.utils import DistributedDataParallelKwargs
from torch import Tensor, nn
from torch.distributions import Distribution

from mmvae.data.batches import Batch, Batches, training_view
from mmvae.data.order import Order, never_empty, share
from mmvae.models.protocol import Model, Phase, Terms
from mmvae.randomness import StepDraws, derived_seed, seed_global
from mmvae.settings import TrainConfig
from mmvae.training.average import WeightAverage
from mmvae.training.optimizer import build_optimizer
from mmvae.training.schedule import learning_rate, warmup_weight
from mmvae.training.state import TrainingState


class Objective(nn.Module):
    """A model's objective as a module, so that Accelerate can wrap it for processes and autocast.

    Args:
        model: The model.
    """

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.model = model

    def forward(self, phase: str, batch: Batch, draws: StepDraws, weight: float) -> Terms:
        """See :meth:`mmvae.models.protocol.Model.objective`."""
        return self.model.objective(phase, batch, draws, weight)


class Stepper:
    """Takes optimizer steps of one model on one split.

    Args:
        model: On the accelerator's device.
        train: The training split.
        config: The ``[train]`` section.
        accelerator: Devices, precision, processes.
    """

    def __init__(
        self, model: Model, train: Batches, config: TrainConfig, accelerator: Accelerator
    ) -> None:
        self.model, self.train = model, train
        self.config, self.accelerator = config, accelerator
        self.order = Order(len(train), config.batch_size, config.seed, config.drop_last)
        self.total_steps = config.epochs * self.order.steps_per_epoch
        self.phases = model.phases()
        bare = {p.name: build_optimizer(p.parameters, config) for p in self.phases}
        average = WeightAverage(model, config.ema) if config.ema is not None else None
        self.state = TrainingState(model, bare, average)
        if config.compile:
            compile_networks(model)
        accelerator.ddp_handler = DistributedDataParallelKwargs(
            find_unused_parameters=model.skips_weights or len(self.phases) > 1
        )
        self.objective: Any = accelerator.prepare(Objective(model))
        self.optimizers = {name: accelerator.prepare(o) for name, o in bare.items()}
        self._process, self._processes = accelerator.process_index, accelerator.num_processes

    @property
    def epoch(self) -> int:
        """Epochs begun."""
        return min(self.state.position.step // self.order.steps_per_epoch + 1, self.config.epochs)

    def step(self, step: int) -> None:
        """One optimizer step per phase on the global batch of ``step``."""
        seed = derived_seed(self.config.seed, "global", step, self._process)
        seed_global(seed, self.train.device)
        items = self.order.items(step)
        weight = warmup_weight(self.order.epoch(step), self.config.warmup_epochs)
        rate = self._learning_rate(step)
        for phase in self.phases:
            optimizer = self.optimizers[phase.name]
            for group in optimizer.param_groups:
                group["lr"] = rate
            optimizer.zero_grad()
            self.gradients(step, phase, items, weight)
            self._clip(phase)
            optimizer.step()
        if self.state.average is not None:
            self.state.average.update(self.model)

    def gradients(self, step: int, phase: Phase, items: Tensor, weight: float) -> None:
        """Accumulate the gradient of the mean loss over the global batch.

        Each part adds its sum over items / global items, so the result depends neither on the
        number of parts nor on that of processes (which average their gradients).
        """
        parts, total = self.config.accumulation, len(items)
        for part in range(parts):
            rows = share(total, self._process * parts + part, self._processes * parts)
            seen, count = never_empty(rows)
            draws = StepDraws(self.config.seed, "train", step, seen, total, self.train.device)
            batch = self.train.batch(items[seen], draws, training_view)
            with nullcontext() if part == parts - 1 else self.accelerator.no_sync(self.objective):
                terms = self.objective(phase.name, batch, draws, weight)
                self.accelerator.backward(terms.loss[:count].sum() * (self._processes / total))
            self.state.terms.add(step, phase.name if len(self.phases) > 1 else "", terms, count)

    def _clip(self, phase: Phase) -> None:
        if self.config.clip_norm is not None:
            self.accelerator.clip_grad_norm_(phase.parameters, self.config.clip_norm)
        if self.config.clip_value is not None:
            self.accelerator.clip_grad_value_(phase.parameters, self.config.clip_value)

    def _learning_rate(self, step: int) -> float:
        c = self.config
        return learning_rate(
            step,
            self.total_steps,
            c.learning_rate,
            c.schedule,
            c.schedule_warmup_steps,
            c.final_learning_rate,
        )


@contextmanager
def unchecked_distributions() -> Iterator[None]:
    """Build distributions without a check of their arguments, which would wait for the device.

    Some of torch's check whatever a codec asks for. The loop finds NaN itself, and names the term.
    """
    before = Distribution._validate_args
    Distribution.set_default_validate_args(False)
    try:
        yield
    finally:
        Distribution.set_default_validate_args(before)


def compile_networks(model: Model) -> None:
    """Compile trunks and decoders in place, which leaves the names of weights alone.

    The noise is drawn outside of them, so compiled and eager training draw the same samples.
    """
    for module in model.compilable():
        module.compile()

"""mmvae's training and a hand-written loop of the same networks, in turn in one process.

What the benchmarks of training steps share: mmvae's trainer without a run folder, the comparison
of the first losses from equal weights, items and noise, the rates turn by turn, and the report.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from mmvae.data.batches import Batch, training_view
from mmvae.experiments.build import build_model, extended, make_accelerator, open_experiment_data
from mmvae.experiments.config import load_experiment
from mmvae.foundations.progress import Progress
from mmvae.foundations.randomness import StepDraws
from mmvae.plugins.loader import load_registry
from mmvae.training.schedule import warmup_weight
from mmvae.training.step import Stepper, unchecked_distributions
from mmvae.training.trainer import Trainer

COMPARED = 5
"""The first steps, whose losses are compared."""

BatchOf = Callable[[int], tuple[Tensor, ...]]
"""Step → what a hand-written step reads: inputs, then noise."""


class Loop(Protocol):
    """A hand-written training loop; ``networks`` are all that it trains."""

    networks: nn.Module
    batch_size: int

    def step(self, step: int, beta: float, batch: BatchOf | None = None) -> Tensor:
        """One training step; returns its losses per item, one for each update, detached."""


def parser(doc: str, root: str, steps: int) -> argparse.ArgumentParser:
    """The command line that the benchmarks share.

    Args:
        doc: The script's docstring.
        root: What ``--root`` names.
        steps: Steps in a turn unless asked otherwise.
    """
    made = argparse.ArgumentParser(description=doc.splitlines()[0])
    data = made.add_mutually_exclusive_group(required=True)
    data.add_argument("--root", help=root)
    data.add_argument("--synthetic", action="store_true", help="random pictures instead")
    made.add_argument("--rounds", type=int, default=15, help="timed turns of each loop")
    made.add_argument("--steps", type=int, default=steps, help="steps in a turn")
    return made


def make_trainer(example: Path, overrides: Sequence[str], data: Any = None) -> Trainer:
    """The trainer of mmvae for an example, without a run folder.

    Args:
        example: The TOML file.
        overrides: Keys with other values, as ``--set`` takes them.
        data: Items in memory, in place of those of the example's source.
    """
    registry = load_registry()
    if data is not None:
        overrides = [*overrides, 'data={source="memory"}']
    experiment = load_experiment(example, list(overrides), registry).experiment
    accelerator = make_accelerator(experiment.train)
    materials = open_experiment_data(experiment, registry, data, accelerator)
    trained = extended(
        experiment, registry, build_model(experiment, registry, materials.codecs)
    ).train()
    stepper = Stepper(trained, materials.batches("train"), experiment.train, accelerator)
    return Trainer(stepper, None, None, Progress(), keeps=False)


def measure(trainer: Trainer, loop: Loop, same: BatchOf, rounds: int, steps: int) -> None:
    """Compare, time, print.

    Args:
        trainer: mmvae's.
        loop: The hand-written one.
        same: The batch that mmvae reads at a step, as the loop reads it.
        rounds: Timed turns of each.
        steps: Steps in a turn.
    """
    print(f"threads                      {torch.get_num_threads()}")
    copy_weights(trainer.stepper.trained, loop.networks)
    ours, theirs = count(trainer.stepper.trained), count(loop.networks)
    print(f"parameters                   mmvae {ours:,}   hand-written {theirs:,}")
    with unchecked_distributions():
        print(f"first five losses            differ by at most {compare(trainer, loop, same):.1e}")
        mmvae, hand = timed(trainer, loop, rounds, steps)
    peak, operations = matrix_rate(), step_operations(loop)
    print(f"matrix products              {peak / 1e9:.0f} GFLOP/s, largest of several sizes")
    for name, rates in (("mmvae", mmvae), ("hand-written", hand)):
        rate = statistics.median(rates)
        print(
            f"{name:<28} {rate * loop.batch_size:,.0f} items/s  ({1e3 / rate:.1f} ms a step, "
            f"{rate * operations / peak:.2f} of the matrix-product rate)"
        )
    ratios = [a / b for a, b in zip(mmvae, hand, strict=True)]
    low, high = min(ratios), max(ratios)
    print(
        f"ratio                        {statistics.median(ratios):.3f}  ({low:.3f} to {high:.3f})"
    )


def copy_weights(source: nn.Module, target: nn.Module) -> None:
    """Give one the weights of the other, whose parameters are the same in the same order."""
    with torch.no_grad():
        for a, b in zip(source.parameters(), target.parameters(), strict=True):
            b.copy_(a)


def seen(trainer: Trainer, step: int) -> tuple[Batch, StepDraws]:
    """The batch that mmvae reads at a step, and its random numbers."""
    items = trainer.order.items(step)
    draws = StepDraws(trainer.config.seed, "train", step, slice(0, len(items)), len(items))
    return trainer.stepper.train.batch(items, draws, training_view), draws


def compare(trainer: Trainer, loop: Loop, same: BatchOf) -> float:
    """Largest relative difference of the first losses, from equal weights, items and noise."""
    worst = 0.0
    for step in range(COMPARED):
        beta = warmup_weight(trainer.order.epoch(step), trainer.config.warmup_epochs)
        theirs = loop.step(step, beta, same).double().reshape(-1)
        trainer.stepper.step(step)
        sums = trainer.state.terms.rows[-1].values()  # of each phase: loss, …, items
        ours = torch.stack([row[0] / row[-1] for row in sums])
        worst = max(worst, float(((ours - theirs) / theirs).abs().max()))
    return worst


def timed(
    trainer: Trainer, loop: Loop, rounds: int, steps: int
) -> tuple[list[float], list[float]]:
    """Steps per second of each, turn by turn; mmvae's include its logging."""
    mmvae: list[float] = []
    hand: list[float] = []
    done = COMPARED
    for turn in range(rounds + 1):
        began = time.perf_counter()
        for step in range(done, done + steps):
            trainer.stepper.step(step)
            trainer.state.position.step = step + 1
            trainer.after_step(step + 1)
        middle = time.perf_counter()
        for step in range(done, done + steps):
            loop.step(step, 1.0)
        end = time.perf_counter()
        done += steps
        if turn:  # the first turn warms up
            mmvae.append(steps / (middle - began))
            hand.append(steps / (end - middle))
    return mmvae, hand


def count(module: nn.Module) -> int:
    """Number of parameters."""
    return sum(p.numel() for p in module.parameters())


def step_operations(loop: Loop) -> float:
    """Floating-point operations of a hand-written step's matrix products and convolutions."""
    with FlopCounterMode(display=False) as counter:
        loop.step(0, 1.0)
    return float(counter.get_total_flops())


def matrix_rate() -> float:
    """Best rate of float32 matrix products on this machine, in operations a second."""
    best = 0.0
    for size in (1024, 2048, 3072):
        a, b = torch.randn(size, size), torch.randn(size, size)
        a @ b
        for _ in range(5):
            began = time.perf_counter()
            a @ b
            best = max(best, 2.0 * size**3 / (time.perf_counter() - began))
    return best

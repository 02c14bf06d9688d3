"""What one training step of a model costs: time, and the memory that it holds; for benchmarks."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mmvae.data.batches import Batch, training_view
from mmvae.experiments.build import build_model, make_accelerator, open_experiment_data
from mmvae.experiments.config import load_experiment
from mmvae.foundations.randomness import StepDraws
from mmvae.modalities.column import Column
from mmvae.models.base import Model
from mmvae.plugins.loader import load_registry


def pictures(n: int, modalities: int, share: float = 1.0) -> dict[str, Column]:
    """Random pictures of 28×28 pixels; each item has each modality by chance, and one at least."""
    rng = np.random.default_rng(0)
    has = rng.random((n, modalities)) < share
    has[np.arange(n), rng.integers(modalities, size=n)] = True
    pixels = rng.integers(0, 256, (n, 28, 28), dtype=np.uint8)
    shown = [None if column.all() else column for column in has.T]
    return {f"m{k}": Column(pixels, present=shown[k]) for k in range(modalities)}


class Steps:
    """Training steps of one model on one batch.

    Args:
        data: The items, all of them one batch.
        model: Keys of ``[model]``.
    """

    def __init__(self, data: Mapping[str, Column], model: Mapping[str, Any]) -> None:
        n = len(next(iter(data.values())))
        table = {
            "data": {"source": "memory", "validation": 0, "test": 0},
            "modalities": {m: {"codec": "bernoulli-image", "size": 28} for m in data},
            "model": dict(model),
            "train": {"batch_size": n, "device": "cpu"},
        }
        registry = load_registry()
        experiment = load_experiment(table, (), registry).experiment
        materials = open_experiment_data(
            experiment, registry, {"train": data}, make_accelerator(experiment.train)
        )
        self.n, self.number = n, 0
        self.batches = materials.batches("train")
        self.model: Model = build_model(experiment, registry, materials.codecs)
        if any(codec.sometimes_missing for codec in materials.codecs.values()):
            self.model.learn_patterns(materials.patterns)
        self.optimizer = torch.optim.Adam(self.model.parameters(), fused=True)

    def batch(self) -> tuple[Batch, StepDraws]:
        """The next batch and its randomness."""
        self.number += 1
        draws = StepDraws(0, "train", self.number, slice(0, self.n), self.n)
        return self.batches.batch(torch.arange(self.n), draws, training_view), draws

    def step(self) -> None:
        """One batch, its loss and gradient, one update."""
        batch, draws = self.batch()
        loss = self.model.objective(self.model.phases()[0].name, batch, draws, 1.0).loss.mean()
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()

    def memory(self) -> int:
        """Bytes of weights, gradients, Adam's moments, and what the backward pass needs."""
        weights = {
            p.untyped_storage().data_ptr(): p.untyped_storage().nbytes()
            for p in self.model.parameters()
        }
        kept: dict[int, int] = {}
        held: list[Tensor] = []  # so that no address is used twice

        def keep(x: Tensor) -> Tensor:
            storage = x.untyped_storage()
            if storage.data_ptr() not in weights:
                kept[storage.data_ptr()] = storage.nbytes()
                held.append(x)
            return x

        batch, draws = self.batch()
        with torch.autograd.graph.saved_tensors_hooks(keep, lambda x: x):
            self.model.objective(self.model.phases()[0].name, batch, draws, 1.0)
        return 4 * sum(weights.values()) + sum(kept.values())


def seconds(step: Callable[[], None]) -> float:
    """Processor time of one call, which other programs on the machine change little."""
    before = time.process_time()
    step()
    return time.process_time() - before


def in_turn(steps: Mapping[str, Steps], rounds: int) -> dict[str, float]:
    """Median seconds of a step of each, taken turn by turn after one to warm up."""
    times: dict[str, list[float]] = {name: [] for name in steps}
    for turn in range(rounds + 1):
        for name, one in steps.items():
            took = seconds(one.step)
            if turn:
                times[name].append(took)
    return {name: statistics.median(values) for name, values in times.items()}

"""Speed and memory of importance-weighted figures, on the paper's MNIST networks.

    python benchmarks/bounds.py

The decoders' share of the machine's measured matrix-product rate, turn by turn in one process: how
many floating-point operations the decoders' matrix products take, over the time of the whole
figure. Then the process's memory as k grows, which ``evaluate.memory`` bounds. Pictures and
weights are random: neither changes the work.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import time
from pathlib import Path

import numpy as np
import torch
from torch import nn

from mmvae.data.batches import Batches
from mmvae.evaluation.config import EvaluateConfig
from mmvae.evaluation.likelihood_queries import likelihoods
from mmvae.evaluation.partial_results import PartialResults
from mmvae.evaluation.queries import parse_cells
from mmvae.experiments.build import build_model, make_accelerator, open_experiment_data
from mmvae.experiments.config import load_experiment
from mmvae.models.base import Model
from mmvae.plugins.loader import load_registry

EXAMPLE = Path(__file__).parent.parent / "examples" / "paper" / "jmvae-kl-0.1.toml"

CELLS = {
    "one modality, one proposal": (["image@single"], {"image": 1, "label": 0}),
    "joint and marginal, one pass": (["image+label", "image@multiple"], {"image": 1, "label": 1}),
    "Tables 1 and 3": (
        ["image+label", "image", "image|label"],
        {"image": 3, "label": 2},
    ),
}
"""Cells, and in how many passes each decoder runs."""


def main() -> None:
    """Time, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--items", type=int, default=500)
    parser.add_argument("--samples", type=int, default=100, help="k")
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    model, batches = make(arguments.items)
    print(f"threads                       {torch.get_num_threads()}")
    for name, (texts, passes) in CELLS.items():
        config = EvaluateConfig(bounds=texts, samples=arguments.samples)
        operations = arguments.items * arguments.samples * decoding(model, passes)
        shares, rates = [], []
        for turn in range(arguments.rounds + 1):
            before = matrix_rate()
            took = timed(model, batches, config)
            peak = (before + matrix_rate()) / 2
            if turn:  # the first turn warms up
                shares.append(operations / took / peak)
                rates.append(arguments.items * arguments.samples / took)
        print(
            f"{name:<29} {statistics.median(rates):,.0f} samples/s, "
            f"{statistics.median(shares):.2f} of the matrix-product rate "
            f"({min(shares):.2f} to {max(shares):.2f})"
        )
    print("peak memory with evaluate.memory = 64 MiB")
    few = Batches(batches.split.take(np.arange(64)), batches.codecs, batches.columns)
    for k in (10, 100, 1000, 10_000):
        timed(model, few, EvaluateConfig(bounds=["image@single"], samples=k, memory=64))
        print(f"    k = {k:<6}                {peak_mib():.0f} MiB")


def make(items: int) -> tuple[Model, Batches]:
    """The row's model, untrained, and random items of MNIST's shapes."""
    registry = load_registry()
    experiment = load_experiment(EXAMPLE, ['data={source="memory"}'], registry).experiment
    random = np.random.default_rng(0)
    images = (random.random((items, 28, 28)) * 255).astype(np.uint8)
    columns = {"image": images, "label": np.arange(items) % 10}
    data = {"train": columns, "test": columns}
    accelerator = make_accelerator(experiment.train)
    materials = open_experiment_data(experiment, registry, data, accelerator)
    model = build_model(experiment, registry, materials.codecs).eval()
    return model, materials.batches("test")


def timed(model: Model, batches: Batches, config: EvaluateConfig) -> float:
    """Seconds that the cells take."""
    cells, _ = parse_cells(config.bounds, model, config.given_from)
    began = time.perf_counter()
    likelihoods(model, batches, cells, config, PartialResults())
    return time.perf_counter() - began


def decoding(model: Model, passes: dict[str, int]) -> float:
    """Operations of the decoders' matrix products for one sample of one item."""
    assert isinstance(model.decoders, nn.ModuleDict)
    return sum(
        2.0 * times * layer.weight.numel()
        for m, times in passes.items()
        for layer in model.decoders[m].modules()
        if isinstance(layer, nn.Linear)
    )


def matrix_rate() -> float:
    """Rate of large float32 matrix products now, in operations a second."""
    a, b = torch.randn(2048, 2048), torch.randn(2048, 2048)
    a @ b
    best = 0.0
    for _ in range(3):
        began = time.perf_counter()
        a @ b
        best = max(best, 2.0 * 2048**3 / (time.perf_counter() - began))
    return best


def peak_mib() -> float:
    """The most memory that this process has held so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()

"""Speed of ``examples/mnist.toml`` against a hand-written loop of the same networks.

    python benchmarks/mnist.py --root data/mnist

Both loops run in turn in one process. First their losses are compared from equal weights, items
and noise; then the rates, their ratio and the share of the machine's measured matrix-product rate
are printed. ``--synthetic`` takes random pictures instead of MNIST.
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path

import numpy as np
import torch
from handwritten import CLASSES, LATENT, PIXELS, HandWritten, HandWrittenLoop
from torch import Tensor, nn

from mmvae.assembly import build_model, make_accelerator, open_materials
from mmvae.config import load_experiment
from mmvae.data.batches import training_view
from mmvae.plugins import load_registry
from mmvae.randomness import StepDraws
from mmvae.training.loop import Trainer
from mmvae.training.progress import Progress
from mmvae.training.schedule import warmup_weight

EXAMPLE = Path(__file__).parent.parent / "examples" / "mnist.toml"


def main() -> None:
    """Compare, time, print."""
    arguments = parse()
    torch.manual_seed(0)
    trainer = make_trainer(arguments)
    loop = make_loop(trainer)
    print(f"threads                      {torch.get_num_threads()}")
    ours, theirs = count(trainer.model), count(loop.model)
    print(f"parameters                   mmvae {ours:,}   hand-written {theirs:,}")
    difference = compare(trainer, loop)
    print(f"first five losses            differ by at most {difference:.1e}")
    mmvae, hand = timed(trainer, loop, arguments.rounds, arguments.steps)
    peak = matrix_rate()
    operations = step_operations(loop.model, loop.batch_size)
    batch = loop.batch_size
    ratios = [a / b for a, b in zip(mmvae, hand, strict=True)]
    print(f"matrix products              {peak / 1e9:.0f} GFLOP/s, largest of several sizes")
    for name, rates in (("mmvae", mmvae), ("hand-written", hand)):
        rate = statistics.median(rates)
        print(
            f"{name:<28} {rate * batch:,.0f} items/s  ({1e3 / rate:.1f} ms a step, "
            f"{rate * operations / peak:.2f} of the matrix-product rate)"
        )
    low, high = min(ratios), max(ratios)
    print(
        f"ratio                        {statistics.median(ratios):.3f}  ({low:.3f} to {high:.3f})"
    )


def parse() -> argparse.Namespace:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", help="folder with the IDX files of MNIST")
    parser.add_argument("--synthetic", action="store_true", help="random pictures instead")
    parser.add_argument("--rounds", type=int, default=15, help="timed turns of each loop")
    parser.add_argument("--steps", type=int, default=50, help="steps in a turn")
    arguments = parser.parse_args()
    if not arguments.synthetic and arguments.root is None:
        parser.error("name the folder of MNIST with --root, or use --synthetic")
    return arguments


def make_trainer(arguments: argparse.Namespace) -> Trainer:
    """Make mmvae's trainer for the example, without a run folder."""
    registry = load_registry()
    data, overrides = None, [f'data.root="{arguments.root}"']
    if arguments.synthetic:
        data, overrides = synthetic(), ['data={source="memory"}']
    experiment = load_experiment(EXAMPLE, overrides, registry).experiment
    accelerator = make_accelerator(experiment.train)
    materials = open_materials(experiment, registry, data, accelerator)
    model = build_model(experiment, registry, materials.codecs)
    batches = materials.batches("train")
    return Trainer(
        model, batches, None, experiment.train, None, accelerator, Progress(), keeps=False
    )


def synthetic(n: int = 10_000) -> dict[str, dict[str, np.ndarray]]:
    """Random pictures and labels of MNIST's shapes."""
    random = np.random.default_rng(0)
    images = (random.random((n, 28, 28)) * 255).astype(np.uint8)
    return {"train": {"image": images, "label": np.arange(n) % CLASSES}}


def make_loop(trainer: Trainer) -> HandWrittenLoop:
    """The hand-written loop with the same data and, to begin with, the same weights."""
    config, alphas = trainer.config, trainer.model.alphas
    columns = trainer.train.split.columns
    images = torch.as_tensor(np.asarray(columns["image"].values)).reshape(-1, PIXELS)
    labels = torch.as_tensor(np.asarray(columns["label"].values)).long()
    model = HandWritten(alphas[0])
    ours, theirs = list(trainer.model.parameters()), list(model.parameters())
    with torch.no_grad():
        for a, b in zip(ours, theirs, strict=True):
            b.copy_(a)
    return HandWrittenLoop(images, labels, model, config.learning_rate, config.batch_size)


def compare(trainer: Trainer, loop: HandWrittenLoop, steps: int = 5) -> float:
    """Largest relative difference of the first losses, from equal weights, items and noise."""
    worst = 0.0

    def same(step: int) -> tuple[Tensor, Tensor, Tensor]:
        items = trainer.order.items(step)
        rows = slice(0, len(items))
        draws = StepDraws(trainer.config.seed, "train", step, rows, len(items))
        x = trainer.train.batch(items, draws, training_view).x
        return x["image"].flatten(1), x["label"], draws.normal("z", LATENT)

    for step in range(steps):
        beta = warmup_weight(trainer.order.epoch(step), trainer.config.warmup_epochs)
        theirs = float(loop.step(step, beta, same))
        trainer.step(step)
        row = trainer.state.terms.stacked()[-1]
        ours = float(row[0] / row[-1])
        worst = max(worst, abs(ours - theirs) / abs(theirs))
    return worst


def timed(
    trainer: Trainer, loop: HandWrittenLoop, rounds: int, steps: int
) -> tuple[list[float], list[float]]:
    """Steps per second of each, turn by turn; mmvae's include its logging."""
    mmvae: list[float] = []
    hand: list[float] = []
    done = 5
    for turn in range(rounds + 1):
        began = time.perf_counter()
        for step in range(done, done + steps):
            trainer.step(step)
            trainer.state.position.step = step + 1
            trainer._after_step(step + 1)
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


def step_operations(model: HandWritten, batch: int) -> float:
    """Floating-point operations of the matrix products of one step: forward and both gradients.

    Layers that read data need no gradient of their input.
    """
    first = {model.joint_image[0], model.joint_label[0], model.image[0], model.label[0]}
    linear = [m for m in model.modules() if isinstance(m, nn.Linear)]
    return sum(2.0 * batch * m.weight.numel() * (2 if m in first else 3) for m in linear)


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


if __name__ == "__main__":
    main()

"""Rules for experts that are broader than the prior: which product is nearest to the joint one.

    python benchmarks/products.py

Each of the eight rows of a handwritten digit is a modality; singletons are trained. For sets of K
rows it prints the mean of KL(q(z|x_M) ‖ product), nats, on held-out items: of T8, of the guard
that mmvae had before, and of other rules that are exact where all Λ_k ≥ 1.
"""

from __future__ import annotations

import argparse
import tempfile
from itertools import combinations

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import Tensor

import mmvae
from mmvae import DiagonalGaussian
from mmvae.data.batches import Batches
from mmvae.data.source import Split
from mmvae.modalities.column import Column
from mmvae.models.posteriors import kl_divergence

ROWS = [f"row{k}" for k in range(8)]
TRAINED, DRAWN = 1500, 12


def main() -> None:
    """Train, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=25)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--alpha", type=float, nargs="+", default=[1.0, 0.1])
    arguments = parser.parse_args()
    for alpha in arguments.alpha:
        print(f"alpha = {alpha}")
        for size, found in divergences(alpha, arguments.epochs, arguments.seed).items():
            print(f"  K = {size}: " + ", ".join(f"{k} {v:.3f}" for k, v in found.items()))


def divergences(alpha: float, epochs: int, seed: int) -> dict[int, dict[str, float]]:
    """Train, and measure every rule: K → rule → nats."""
    pixels = (load_digits().images > 7).astype(np.float32)
    rows = {name: pixels[:, k : k + 1] for k, name in enumerate(ROWS)}
    codec = {"codec": "bernoulli-image", "encoder": [64], "decoder": [64]}
    config = {
        "modalities": dict.fromkeys(ROWS, codec),
        "model": {"latent_dim": 16, "alpha": alpha},
        "train": {"epochs": epochs, "batch_size": 50, "seed": seed, "device": "cpu"},
    }
    with tempfile.TemporaryDirectory() as folder:
        data = {m: x[:TRAINED] for m, x in rows.items()}
        mmvae.train(config, data=data, run_dir=f"{folder}/run")
        trained = mmvae.load(f"{folder}/run")
    held_out = {m: Column(x[TRAINED:]) for m, x in rows.items()}
    split = Split(held_out, np.arange(len(pixels) - TRAINED))
    batch = Batches(split, trained.codecs, {m: m for m in ROWS}).fixed(slice(0, len(split)))
    order = np.random.default_rng(0)
    found: dict[int, dict[str, float]] = {}
    with torch.no_grad():
        joint = trained.model.joint_posterior(batch)
        experts = {m: trained.model.posterior({m: batch.x[m]}) for m in ROWS}
        for size in (2, 4, 7):
            sets = list(combinations(ROWS, size))
            some = [sets[i] for i in order.permutation(len(sets))[:DRAWN]]
            nats = [compared(joint, [experts[m] for m in given]) for given in some]
            found[size] = {rule: float(np.mean([n[rule] for n in nats])) for rule in nats[0]}
    return found


def compared(joint: DiagonalGaussian, experts: list[DiagonalGaussian]) -> dict[str, float]:
    """Mean divergence of the joint posterior to the product by each rule."""
    products = rules(
        torch.stack([(-e.log_variance).exp() for e in experts]),
        torch.stack([e.mean for e in experts]),
    )
    return {
        name: float(kl_divergence(joint, DiagonalGaussian(mean, -precision.log())).mean())
        for name, (mean, precision) in products.items()
    }


def rules(precisions: Tensor, means: Tensor) -> dict[str, tuple[Tensor, Tensor]]:
    """Mean and precision of the product of K experts, each (K, b, d), by each rule."""
    exact = precisions.sum(0) - (len(precisions) - 1)
    raised = precisions.clamp(min=1)
    total = 1 + (raised - 1).sum(0)
    weighted = (precisions * means).sum(0)
    former = torch.maximum(exact, precisions.amin(0))
    shrunk = (precisions * precisions.clamp(max=1) * means).sum(0)
    narrow = (precisions * (precisions >= 1) * means).sum(0)
    return {
        "T8": (weighted / total, total),
        "former guard": (weighted / former, former),
        "prior's precision at least": (weighted / exact.clamp(min=1), exact.clamp(min=1)),
        "means by raised precisions": ((raised * means).sum(0) / total, total),
        "broad means shrunk once more": (shrunk / total, total),
        "broad experts left out": (narrow / total, total),
    }


if __name__ == "__main__":
    main()

"""Whether posteriors of all subsets are worth it: agreement and coherence at equal steps.

    python benchmarks/agreement.py

Handwritten digits of 8×8 pixels, each of their eight rows a modality, so that there are 254
subsets. Models with ``subsets = "all"`` and with ``subsets = "singletons"``, whose posteriors of
larger subsets are products of experts (T8), train for as many steps on the same items. On held-out
items it prints the mean of KL(q(z|x_M) ‖ q_S(z|x_S)) over all 254 subsets, the ELBO, and how often
a digit made from two of its rows (all 28 pairs, one sample of z each) is recognised as what it is.
"""

from __future__ import annotations

import argparse
import statistics
from itertools import combinations
from typing import Any

import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.svm import SVC
from torch import Tensor

import mmvae
from mmvae.data.batches import Batches
from mmvae.data.source import Split
from mmvae.foundations.randomness import generator
from mmvae.models.base import Model
from mmvae.models.posteriors import kl_divergence

ROWS = [f"row{k}" for k in range(8)]
MODELS: dict[str, dict[str, Any]] = {
    "singletons, products": {"subsets": "singletons"},
    "all": {"subsets": "all"},
    "all, own heads": {"subsets": "all", "heads": "own"},
}


def main() -> None:
    """Train, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--alpha", type=float, default=1.0)
    parser.add_argument("--models", nargs="+", default=list(MODELS), choices=list(MODELS))
    arguments = parser.parse_args()
    pixels, kinds = load_digits(return_X_y=True)
    pictures = (pixels / 16).astype(np.float32).reshape(-1, 8, 8)
    classifier = SVC(gamma=0.1).fit(pictures[:1400].reshape(1400, 64), kinds[:1400])
    real = classifier.score(pictures[1400:].reshape(-1, 64), kinds[1400:])
    print(f"judge on held-out digits {real:.3f}; {arguments.steps} steps of 100 items")
    print(f"{'family':<22} {'mean KL':>8} {'pairs':>7} {'ELBO':>8}")
    for name in arguments.models:
        found = [
            measured(
                MODELS[name], pictures, kinds, classifier, arguments.steps, arguments.alpha, seed
            )
            for seed in arguments.seeds
        ]
        kl, right, elbo = (statistics.mean(column) for column in zip(*found, strict=True))
        print(f"{name:<22} {kl:>8.3f} {right:>7.3f} {elbo:>8.2f}")


def measured(
    keys: dict[str, Any],
    pictures: Any,
    kinds: Any,
    classifier: SVC,
    steps: int,
    alpha: float,
    seed: int,
) -> tuple[float, float, float]:
    """Mean divergence in nats, share of pairs recognised, and ELBO of one model."""
    modality = {"codec": "vector", "scale": 0.15, "standardise": False}
    modality |= {"encoder": [64, 64], "decoder": [64, 64]}
    table = {
        "modalities": {row: dict(modality) for row in ROWS},
        "model": {"latent_dim": 16, "alpha": alpha, "fusion_dim": 256, **keys},
        "train": {"epochs": 1 + steps // 14, "batch_size": 100, "seed": seed, "device": "cpu"},
    }
    columns = {row: pictures[:, k] for k, row in enumerate(ROWS)}
    train = {row: values[:1400] for row, values in columns.items()}
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        result = mmvae.train(table, {"train": train}, run_dir=f"{folder}/run", max_steps=steps)
    model = result.model.model
    held = Split({row: mmvae.Column(v[1400:]) for row, v in columns.items()}, range(397))
    x = Batches(held, model.codecs, {row: row for row in ROWS}).fixed(slice(0, 397)).x
    elbo = float(result.model.elbo({row: v[1400:] for row, v in columns.items()})["elbo"].mean())
    return divergence(model, x), recognised(model, x, kinds[1400:], classifier), elbo


@torch.no_grad()
def divergence(model: Model, x: dict[str, Tensor]) -> float:
    """Mean over items and all proper subsets of KL(q(z|x_M) ‖ q_S(z|x_S)), nats."""
    joint = model.posterior(x)
    subsets = [s for size in range(1, len(ROWS)) for s in combinations(ROWS, size)]
    nats = [kl_divergence(joint, model.posterior({m: x[m] for m in s})).mean() for s in subsets]
    return float(torch.stack(nats).mean())


@torch.no_grad()
def recognised(model: Model, x: dict[str, Tensor], kinds: Any, classifier: SVC) -> float:
    """Share of digits made from two rows each in which the judge sees their class."""
    shares = []
    for pair in combinations(ROWS, 2):
        q = model.posterior({m: x[m] for m in pair})
        noise = torch.randn(len(kinds), model.latent_dim, generator=generator(0, "pair", *pair))
        z = q.rsample(noise)
        rows = [mmvae.finite_values(model, m, z) for m in ROWS]
        shares.append(classifier.score(torch.cat(rows, 1).numpy(), kinds))
    return float(np.mean(shares))


if __name__ == "__main__":
    main()

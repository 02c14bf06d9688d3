"""Speed of ``examples/mnist.toml`` against a hand-written loop of the same networks.

    python benchmarks/mnist.py --root data/mnist

Both loops run in turn in one process. First their losses are compared from equal weights, items
and noise; then the rates, their ratio and the share of the machine's measured matrix-product rate
are printed. ``--synthetic`` takes random pictures instead of MNIST.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from handwritten import CLASSES, LATENT, PIXELS, HandWritten, HandWrittenLoop
from torch import Tensor
from turns import make_trainer, measure, parser, seen

from mmvae.training.trainer import Trainer

EXAMPLE = Path(__file__).parent.parent / "examples" / "mnist.toml"


def main() -> None:
    """Make both loops and measure them."""
    arguments = parser(__doc__, root="folder with the IDX files of MNIST", steps=50).parse_args()
    torch.manual_seed(0)
    data = synthetic() if arguments.synthetic else None
    overrides = [] if arguments.synthetic else [f'data.root="{arguments.root}"']
    trainer = make_trainer(EXAMPLE, overrides, data)

    def same(step: int) -> tuple[Tensor, ...]:
        batch, draws = seen(trainer, step)
        return batch.x["image"].flatten(1), batch.x["label"], draws.normal("z", LATENT)

    measure(trainer, make_loop(trainer), same, arguments.rounds, arguments.steps)


def synthetic(n: int = 10_000) -> dict[str, dict[str, np.ndarray]]:
    """Random pictures and labels of MNIST's shapes."""
    random = np.random.default_rng(0)
    images = (random.random((n, 28, 28)) * 255).astype(np.uint8)
    return {"train": {"image": images, "label": np.arange(n) % CLASSES}}


def make_loop(trainer: Trainer) -> HandWrittenLoop:
    """The hand-written loop with the same data."""
    config, columns = trainer.config, trainer.stepper.train.split.columns
    images = torch.as_tensor(np.asarray(columns["image"].values)).reshape(-1, PIXELS)
    labels = torch.as_tensor(np.asarray(columns["label"].values)).long()
    model = HandWritten(trainer.stepper.model.penalty.alphas[0])
    return HandWrittenLoop(images, labels, model, config.learning_rate, config.batch_size)


if __name__ == "__main__":
    main()

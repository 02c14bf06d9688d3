"""Speed of ``examples/faces.toml`` against a hand-written loop of the same networks.

    python benchmarks/faces.py --root data/faces
    python benchmarks/faces.py --root data/faces --adversary

As ``benchmarks/mnist.py``: equal losses first, then the rates in turn. ``--adversary`` trains both
with a critic, in three updates a step. Widths are those of the example. ``--synthetic`` takes
random pictures and attributes.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import torch
from handwritten_faces import (
    AdversarialLoop,
    Critic,
    FacesLoop,
    HandWrittenFaces,
    Optimiser,
    Sizes,
    Weights,
)
from torch import Tensor
from turns import make_trainer, measure, parser, seen

from mmvae.training.trainer import Trainer

EXAMPLE = Path(__file__).parent.parent / "examples" / "faces.toml"
PLAIN = ["train.schedule_warmup_steps=0"]
"""So that the first steps learn at the full rate, as the hand-written loop does."""


def main() -> None:
    """Make both loops and measure them."""
    command = parser(__doc__, root="folder of CelebA, or of faces in its layout", steps=20)
    command.add_argument("--adversary", action="store_true", help="train against a critic")
    arguments = command.parse_args()
    torch.manual_seed(0)
    data = synthetic() if arguments.synthetic else None
    overrides = PLAIN if arguments.synthetic else [*PLAIN, f'data.root="{arguments.root}"']
    if arguments.adversary:
        overrides = [*overrides, 'adversary.modality="image"']
    trainer = make_trainer(EXAMPLE, overrides, data)

    def same(step: int) -> tuple[Tensor, ...]:
        batch, draws = seen(trainer, step)
        latent = trainer.stepper.model.latent_dim
        read = (batch.x["image"], batch.x["attributes"], draws.normal("z", latent))
        if not arguments.adversary:
            return read
        return *read, torch.erf(draws.normal("x_p", latent) / math.sqrt(2))

    loop = make_loop(trainer, arguments.adversary)
    measure(trainer, loop, same, arguments.rounds, arguments.steps)


def synthetic(n: int = 2000) -> dict[str, dict[str, np.ndarray]]:
    """Random pictures and attributes of the example's shapes."""
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (n, 32, 32, 3), dtype=np.uint8)
    signs = random.choice(np.array([-1, 1], np.int8), (n, 40))
    return {"train": {"image": images, "attributes": signs}}


def make_loop(trainer: Trainer, adversary: bool) -> FacesLoop:
    """The hand-written loop with the same data, of the example's widths."""
    columns, config = trainer.stepper.train.split.columns, trainer.config
    images = torch.as_tensor(np.asarray(columns["image"].read().values))
    attributes = torch.as_tensor(np.asarray(columns["attributes"].read().values))
    sizes = sizes_of(trainer)
    model = HandWrittenFaces(sizes, weights_of(trainer))
    parts = (
        images.permute(0, 3, 1, 2).contiguous(),
        attributes,
        model,
        Optimiser(config.learning_rate, config.betas, config.eps),
        config.batch_size,
    )
    if not adversary:
        return FacesLoop(*parts)
    of = trainer.stepper.trained.config
    optimiser = Optimiser(of.learning_rate, of.betas, of.eps)
    return AdversarialLoop(*parts, Critic(sizes), optimiser)


def sizes_of(trainer: Trainer) -> Sizes:
    """Widths of the example's networks."""
    model = trainer.stepper.model
    image, attributes = (model.codecs[m] for m in ("image", "attributes"))
    return Sizes(
        picture=image.event_shape,
        attributes=len(attributes.names),
        latent=model.latent_dim,
        convolutions=image.config.channels_hidden,
        dense=image.config.dense,
        grouped=image.config.norm == "group",
        encoder=attributes.config.encoder,
        decoder=attributes.config.decoder,
        fusion=model.config.fusion_dim,
    )


def weights_of(trainer: Trainer) -> Weights:
    """Weights of the example's terms."""
    of = trainer.stepper.model.likelihood_weights
    variance = trainer.stepper.model.codecs["image"].config.variance
    return Weights(
        trainer.stepper.model.penalty.alphas[0], of["image"], of["attributes"], variance
    )


if __name__ == "__main__":
    main()

"""A toy extension: a small network of its own that learns to guess z, and moves nothing else."""

from __future__ import annotations

from typing import Any

import torch
from pydantic import Field
from torch import nn
from toys import toy_registry

from mmvae import Batch, Extension, ExtensionConfig, Phase, StepDraws, Terms, Trainable
from mmvae.plugins.registry import Registry


class NudgeConfig(ExtensionConfig):
    modality: str = Field(description="What it guesses from.")
    rate: float = Field(0.5, gt=0, description="Its learning rate.")
    first_epoch: int = Field(0, ge=0, description="Epochs before it begins.")


class Nudge(Extension):
    """Guesses the posterior's best point from one modality, by plain gradient descent."""

    kind = "nudge"
    Config = NudgeConfig

    def __init__(self, config: NudgeConfig, inner: Trainable) -> None:
        super().__init__(config, inner)
        width = self.bare.codecs[config.modality].event_shape[0]
        self.prediction = nn.Linear(width, self.bare.latent_dim)
        self.epochs: list[int] = []

    def phases(self) -> list[Phase]:
        settings: dict[str, Any] = {"optimizer": "sgd", "learning_rate": self.config.rate}
        own = Phase("nudge", list(self.prediction.parameters()), settings, self.config.first_epoch)
        return [own, *self.inner.phases()]

    def begin_step(self, epoch: int) -> None:
        self.epochs.append(epoch)
        super().begin_step(epoch)

    def objective(self, phase: str, batch: Batch, draws: StepDraws, weight: float) -> Terms:
        if phase != "nudge":
            return self.inner.objective(phase, batch, draws, weight)
        missed = (
            self.prediction(batch.x[self.config.modality]) - self.bare.posterior(batch.x).point()
        )
        loss = missed.square().sum(1)
        return Terms(loss, {"missed": torch.linalg.vector_norm(missed.detach(), dim=1)})


def nudge_registry(*extensions: type[Extension]) -> Registry:
    """The toys and Nudge, or other extensions in its place."""
    known = toy_registry()
    return Registry.of(
        codecs=known.kinds("codec").values(),
        sources=known.kinds("source").values(),
        models=known.kinds("model").values(),
        extensions=extensions or [Nudge],
    )

"""The stage: a small model of drawn pictures and their signs, for tests of other plugins.

Metrics, observers and extensions work on any model; the suites test them on this one, a JMVAE of
the modalities ``a``, grey pictures of 8×8 pixels, and ``b``, attributes of ±1 that the pictures
show.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, Normal

from mmvae.data.batches import Batch, Batches
from mmvae.data.source import Split
from mmvae.foundations.networks import mlp
from mmvae.foundations.randomness import seeded_global
from mmvae.modalities.codec import Codec
from mmvae.modalities.codec_config import CodecConfig
from mmvae.modalities.column import Column
from mmvae.modalities.likelihoods.likelihood import Parameters
from mmvae.modalities.recipe import HAS_MISSING
from mmvae.models.base import Model
from mmvae.models.jmvae import JMVAE
from mmvae.testing.standin import Reals

PICTURE, SIGNS = MODALITIES = ("a", "b")
"""The suites' names of the two modalities; keys may name them."""

SIDE = 8
KEYS: Mapping[str, Any] = {"latent_dim": 2, "fusion_dim": 8}


class Pictures(Codec):
    """Grey pictures with values in [0, 1], p(x|z) = N(x; sigmoid f(z), 0.1²)."""

    kind = "stand-in-pictures"
    event_shape = (1, SIDE, SIDE)
    feature_dim = 8

    def prepare(self, column: Column) -> tuple[Tensor, Tensor | None]:
        """Reals (b, 8, 8) → float32 (b, 1, 8, 8); all observed."""
        return torch.as_tensor(np.asarray(column.values), dtype=torch.float32).unsqueeze(1), None

    def encoder(self) -> nn.Module:
        """One dense layer."""
        return nn.Sequential(nn.Flatten(), *mlp(SIDE**2, [self.feature_dim], "tanh"))

    def decoder(self, input_dim: int) -> nn.Module:
        """One dense layer."""
        return nn.Sequential(nn.Linear(input_dim, SIDE**2), nn.Unflatten(1, self.event_shape))

    def likelihood(self, parameters: Parameters) -> Distribution:
        """A standard deviation of 0.1."""
        assert isinstance(parameters, Tensor)
        mean = parameters.sigmoid()
        return Independent(Normal(mean, torch.full_like(mean, 0.1), False), 3)

    def point(self, likelihood: Distribution) -> Tensor:
        """The mean."""
        return likelihood.mean

    def restore(self, x: Tensor) -> Column:
        """The same values, clamped to [0, 1]."""
        return Column(x[:, 0].detach().clamp(0, 1).cpu().numpy())

    def parse(self, text: str) -> Column:
        """No value can be typed."""
        raise ValueError(f"{text!r} is no picture.")

    def show(self, x: Tensor) -> list[Any]:
        """Pictures."""
        return [
            Image.fromarray((v * 255).round().astype(np.uint8)) for v in self.restore(x).values
        ]


class Signs(Reals):
    """Three attributes of ±1, p(x|z) = N(x; tanh f(z), 1)."""

    kind = "stand-in-signs"
    attributes = ("one", "two", "three")

    def decoder(self, input_dim: int) -> nn.Module:
        """One dense layer."""
        return nn.Sequential(nn.Linear(input_dim, 3), nn.Tanh())


def codecs(gaps: bool = False) -> dict[str, Codec]:
    """Both codecs, for modalities that training items lack or never lack."""
    state = {HAS_MISSING: True} if gaps else None
    return {PICTURE: Pictures(CodecConfig(), state), SIGNS: Signs(CodecConfig(), state)}


def model(gaps: bool = False) -> Model:
    """A JMVAE of both in eval mode, with the same weights at every call."""
    config = JMVAE.Config.model_validate(dict(KEYS), context={"modalities": list(MODALITIES)})
    with seeded_global(0):
        return JMVAE(config, codecs(gaps)).eval()


@cache
def items(n: int, seed: int = 0) -> Batches:
    """Items in which each attribute brightens its own part of the picture."""
    draw = np.random.default_rng(seed)
    hidden = draw.normal(size=(n, 3))
    parts = np.zeros((3, SIDE, SIDE))
    for k in range(3):
        parts[k, 2 * k : 2 * k + 3] = 1
    bright = np.tensordot(hidden, parts, 1) + 0.3 * draw.normal(size=(n, SIDE, SIDE))
    signs = np.where(hidden > 0, 1.0, -1.0)
    columns = {PICTURE: Column(1 / (1 + np.exp(-bright))), SIGNS: Column(signs)}
    return Batches(
        Split(columns, np.arange(n)), codecs(), dict(zip(MODALITIES, MODALITIES, strict=True))
    )


def batch(n: int) -> Batch:
    """One batch of such items."""
    return items(n).fixed(slice(0, n))

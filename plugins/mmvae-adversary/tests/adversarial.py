"""Small trainings with an adversary: toy pictures of three pixels, and their class."""

from __future__ import annotations

from typing import Any

from mmvae_adversary import Adversary
from toys import ClassCodec, PictureCodec, ToySource, VectorCodec, toy_config

from mmvae.data.memory import MemorySource
from mmvae.models.jmvae import JMVAE
from mmvae.plugins.registry import Registry

REGISTRY = Registry.of(
    codecs=[VectorCodec, PictureCodec, ClassCodec],
    sources=[ToySource, MemorySource],
    models=[JMVAE],
    extensions=[Adversary],
)
WITHOUT = Registry.of(
    codecs=[VectorCodec, PictureCodec, ClassCodec],
    sources=[ToySource, MemorySource],
    models=[JMVAE],
)
"""The same where the plugin is not installed."""


def bare(epochs: int = 3, train: dict[str, Any] | None = None) -> dict[str, Any]:
    """Three steps an epoch, without an adversary."""
    return toy_config(
        modalities={"v": {"codec": "toy-picture"}, "c": {"codec": "toy-class"}},
        train={"epochs": epochs, "batch_size": 25, "learning_rate": 1e-2, **(train or {})},
    )


def config(epochs: int = 3, train: dict[str, Any] | None = None, **keys: Any) -> dict[str, Any]:
    """The same with one."""
    table = {"modality": "v", "learning_rate": 1e-2, **keys}
    return bare(epochs, train) | {"adversary": table}

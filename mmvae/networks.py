"""Small network pieces that codecs and encoders share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from torch import nn

Activation = Literal["relu", "leaky-relu", "silu", "gelu", "tanh"]


def activation(name: Activation) -> nn.Module:
    """Return a fresh activation layer."""
    layers: dict[str, type[nn.Module]] = {
        "relu": nn.ReLU,
        "leaky-relu": nn.LeakyReLU,
        "silu": nn.SiLU,
        "gelu": nn.GELU,
        "tanh": nn.Tanh,
    }
    return layers[name]()


def mlp(input_dim: int, hidden: Sequence[int], act: Activation = "relu") -> nn.Sequential:
    """Return dense layers with an activation after each: (b, input_dim) → (b, hidden[-1]).

    With no hidden layer it is the identity.
    """
    layers: list[nn.Module] = []
    for width in hidden:
        layers += [nn.Linear(input_dim, width), activation(act)]
        input_dim = width
    return nn.Sequential(*layers)

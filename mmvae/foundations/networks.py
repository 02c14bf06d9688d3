"""Small network pieces that codecs and encoders share."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Literal

from torch import Tensor, nn

Activation = Literal["relu", "leaky-relu", "silu", "gelu", "tanh"]


def activation(name: Activation, inplace: bool = False) -> nn.Module:
    """Return a fresh activation layer.

    Args:
        name: Name of the activation.
        inplace: Let it overwrite its input if possible, to save memory. Only after a layer whose
            output is not used elsewhere.
    """
    layers: dict[str, Callable[[], nn.Module]] = {
        "relu": lambda: nn.ReLU(inplace),
        "leaky-relu": lambda: nn.LeakyReLU(inplace=inplace),
        "silu": nn.SiLU,  # its gradient needs its input
        "gelu": nn.GELU,
        "tanh": nn.Tanh,
    }
    return layers[name]()


def mlp(
    input_dim: int,
    hidden: Sequence[int],
    act: Activation = "relu",
    output_dim: int | None = None,
    layer_norm: bool = False,
) -> nn.Sequential:
    """Return dense layers with an activation after each: (b, input_dim) → (b, hidden[-1]).

    With no hidden layer it is the identity.

    Args:
        input_dim: Width of the input.
        hidden: Widths of the layers.
        act: The activation.
        output_dim: Width of a linear layer after them, without activation: (b, output_dim).
        layer_norm: Add a layer norm before each activation.
    """
    layers: list[nn.Module] = []
    for width in hidden:
        norm = [nn.LayerNorm(width)] if layer_norm else []
        layers += [nn.Linear(input_dim, width), *norm, activation(act, inplace=True)]
        input_dim = width
    if output_dim is not None:
        layers.append(nn.Linear(input_dim, output_dim))
    return nn.Sequential(*layers)


def bounded(raw: Tensor, most: float, beyond: float) -> Tensor:
    """A network's output, bounded smoothly to ±(most + beyond), the same shape.

    Within ±``most`` it equals ``raw`` exactly, and so does its gradient; outside it saturates
    smoothly. Use it before an exponential or a square, e.g. for log σ², so that densities and
    their gradients stay finite.
    """
    within = raw.clamp(-most, most)
    rest = raw - within
    return within + rest / (1.0 + rest.abs() / beyond)


@contextmanager
def evaluating(network: nn.Module) -> Iterator[None]:
    """Set a network and its modules to eval mode, so that running statistics do not change."""
    modes = [(module, module.training) for module in network.modules()]
    network.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training

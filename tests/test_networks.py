"""Dense stacks and activations."""

from __future__ import annotations

from typing import get_args

import pytest
import torch
from torch import nn

from mmvae.networks import Activation, activation, mlp


@pytest.mark.parametrize("name", get_args(Activation))
def test_every_activation_that_configs_may_name_exists(name: Activation) -> None:
    layer = activation(name)
    assert layer(torch.linspace(-1, 1, 5)).shape == (5,)
    assert activation(name) is not layer


def test_mlp_is_dense_layers_each_followed_by_its_activation() -> None:
    network = mlp(3, [5, 2], "leaky-relu")
    kinds = [type(layer) for layer in network]
    assert kinds == [nn.Linear, nn.LeakyReLU, nn.Linear, nn.LeakyReLU]
    x = torch.randn(4, 3)
    by_hand = nn.functional.leaky_relu(network[2](nn.functional.leaky_relu(network[0](x))))
    assert torch.equal(network(x), by_hand)
    assert by_hand.shape == (4, 2)


def test_mlp_without_hidden_layers_is_the_identity() -> None:
    x = torch.randn(4, 3)
    assert torch.equal(mlp(3, [])(x), x)

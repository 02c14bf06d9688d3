"""Dense stacks, activations and bounds."""

from __future__ import annotations

from typing import get_args

import pytest
import torch
from torch import nn

from mmvae.foundations.networks import Activation, activation, bounded, mlp


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


def test_mlp_ends_with_a_linear_layer_of_the_output() -> None:
    assert [type(layer) for layer in mlp(3, [5], output_dim=2)] == [nn.Linear, nn.ReLU, nn.Linear]
    for hidden in ([5], []):
        assert mlp(3, hidden, output_dim=2)(torch.randn(4, 3)).shape == (4, 2)


def test_mlp_normalises_before_each_activation() -> None:
    kinds = [type(layer) for layer in mlp(3, [5, 2], "silu", output_dim=1, layer_norm=True)]
    assert kinds == [*(nn.Linear, nn.LayerNorm, nn.SiLU) * 2, nn.Linear]


def test_within_its_bounds_a_number_and_its_gradient_are_as_they_were_to_the_bit() -> None:
    spread = torch.cat([torch.linspace(-25, 25, 100_001), torch.randn(10_000)])
    spread.requires_grad_()
    found = bounded(spread, 25.0, 5.0)
    assert torch.equal(found, spread)
    weights = torch.randn(len(spread))
    (slope,) = torch.autograd.grad((found * weights).sum(), spread)
    assert torch.equal(slope, weights)


def test_bounding_is_smooth_and_rises() -> None:
    raw = torch.linspace(-200, 200, 100_001, dtype=torch.float64, requires_grad=True)
    found = bounded(raw, 25.0, 5.0)
    (slope,) = torch.autograd.grad(found.sum(), raw)
    assert (found.diff() > 0).all()
    assert found.abs().max() < 30
    assert slope.diff().abs().max() < 2e-3


def test_the_largest_numbers_of_float32_are_bounded() -> None:
    raw = torch.tensor([-3e38, 3e38], requires_grad=True)
    found = bounded(raw, 25.0, 5.0)
    (slope,) = torch.autograd.grad(found.sum(), raw)
    assert found.tolist() == [-30.0, 30.0]
    assert torch.isfinite(slope).all()

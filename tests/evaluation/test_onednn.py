"""Dense layers by oneDNN: the same numbers, and only where they are asked for."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from mmvae.evaluation.onednn import LEAST_ROWS, OneDnnDense, suits

needs_onednn = pytest.mark.skipif(
    not torch.backends.mkldnn.is_available(), reason="this build of torch has no oneDNN"
)


@pytest.fixture
def net() -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(8, 40), nn.ReLU(True), nn.Linear(40, 5, bias=False))


@pytest.fixture
def x() -> Tensor:
    return torch.randn(LEAST_ROWS + 3, 8, generator=torch.Generator().manual_seed(1))


@needs_onednn
@torch.no_grad()
def test_the_numbers_are_those_of_torch(net: nn.Module, x: Tensor) -> None:
    expected = net(x)
    with OneDnnDense() as block:
        found = net(x)
        assert torch.equal(net(x), found), "again, from weights that are kept"
        assert len(block._kept) == 3
    assert found.layout == torch.strided
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    assert torch.equal(net(x), expected), "outside the block all is as before"


def test_what_needs_a_gradient_or_is_small_or_rounded_stays_with_torch(
    net: nn.Module, x: Tensor
) -> None:
    weight = net[0].weight
    assert not suits(x, weight), "a gradient is wanted"
    with torch.no_grad():
        assert suits(x, weight) == torch.backends.mkldnn.is_available()
        assert not suits(x[: LEAST_ROWS - 1], weight)
        assert not suits(x.double(), weight.double())
        assert not suits(x[None], weight)
        with torch.autocast("cpu", torch.bfloat16):
            assert not suits(x, weight)
    with OneDnnDense():
        net(x).sum().backward()
    assert weight.grad is not None


@torch.no_grad()
def test_weights_that_are_made_for_each_call_are_not_kept(x: Tensor) -> None:
    """Or each call would keep another copy, whatever memory was allowed."""
    layer = torch.nn.utils.parametrizations.weight_norm(nn.Linear(8, 4, bias=False))
    with OneDnnDense() as block:
        for _ in range(3):
            layer(x)
    assert block._kept == {}


@torch.no_grad()
def test_a_block_within_a_block_is_harmless(net: nn.Module, x: Tensor) -> None:
    with OneDnnDense(), OneDnnDense():
        torch.testing.assert_close(net(x), net(x))

"""Latents of any dimension are projected along their greatest variance."""

from __future__ import annotations

import pytest
import torch

from mmvae.report.projection import Projection, principal_directions


def test_directions_of_greatest_variance_and_their_share() -> None:
    spread = torch.tensor([1.0, 5.0, 2.0])
    points = torch.randn(5000, 3, generator=torch.Generator().manual_seed(0)) * spread + 7
    centre, directions, share = principal_directions(points)
    torch.testing.assert_close(centre, torch.full((3,), 7.0), atol=0.3, rtol=0)
    wanted = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    torch.testing.assert_close(directions, wanted, atol=0.05, rtol=0)
    assert share == pytest.approx(29 / 30, abs=0.01)


@pytest.mark.parametrize("shape", [(1, 2), (4, 1), (3, 5)])
def test_few_points_and_one_dimension(shape: tuple[int, int]) -> None:
    points = torch.arange(shape[0] * shape[1]).reshape(shape).float()
    centre, directions, share = principal_directions(points)
    assert directions.shape == (shape[1], 2)
    assert torch.isfinite((points - centre) @ directions).all()
    assert share == pytest.approx(1.0)


def test_two_dimensions_are_shown_as_they_are() -> None:
    points = torch.randn(9, 2)
    assert torch.equal(Projection.of(points)(points), points)

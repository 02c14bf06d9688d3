"""The Fréchet distance has its closed forms, and its linearisation is its derivative."""

from __future__ import annotations

import pytest
import torch
from mmvae_fidelity.frechet import frechet, halves, linearised, moments, root


def features(n: int = 200, d: int = 5, seed: int = 0) -> torch.Tensor:
    source = torch.Generator().manual_seed(seed)
    return torch.randn(n, d, generator=source, dtype=torch.float64)


def distance(x: torch.Tensor, y: torch.Tensor) -> float:
    return float(frechet(*moments(x), *moments(y)))


def test_identical_sets_are_at_no_distance() -> None:
    x = features()
    assert distance(x, x) == pytest.approx(0, abs=1e-12)
    assert float(linearised(x, x).mean()) == pytest.approx(0, abs=1e-12)


def test_a_shift_costs_its_square() -> None:
    x, shift = features(), torch.tensor([1.0, -2.0, 0.0, 0.5, 0.0], dtype=torch.float64)
    assert distance(x, x + shift) == pytest.approx(float(shift.square().sum()))


def test_scales_along_axes_cost_the_squares_of_their_differences() -> None:
    """For commuting covariances the distance is Σ (σ − σ′)²."""
    mean, s, s2 = torch.zeros(3), torch.tensor([1.0, 4.0, 9.0]), torch.tensor([4.0, 1.0, 9.0])
    found = frechet(mean.double(), s.diag().double(), mean.double(), s2.diag().double())
    assert float(found) == pytest.approx(1 + 1 + 0)


def test_it_is_symmetric_and_takes_fewer_pictures_than_features() -> None:
    x, y = features(4, 6, 1), features(4, 6, 2)
    assert distance(x, y) == pytest.approx(distance(y, x))
    assert torch.isfinite(linearised(x, y)).all()


def test_a_root_is_a_root() -> None:
    _, s = moments(features())
    torch.testing.assert_close(root(s) @ root(s), s)
    torch.testing.assert_close(root(s, -0.5) @ s @ root(s, -0.5), torch.eye(5).double())


def test_the_linearisation_is_the_derivative_by_the_weight_of_an_item() -> None:
    """d F((1 − t) P + t δ_i) / dt at 0, by a small t: items have weights, both sides alike."""
    x, y, step = features(60, 3, 3), features(60, 3, 4) * 1.5 + 0.3, 1e-6

    def weighted(values: torch.Tensor, weights: torch.Tensor):
        mean = weights @ values
        centred = values - mean
        return mean, centred.T @ (weights[:, None] * centred)

    values, base = linearised(x, y), distance(x, y)
    assert float(values.mean()) == pytest.approx(base)
    for i in (0, 7):
        weights = torch.full((60,), (1 - step) / 60, dtype=torch.float64)
        weights[i] += step
        moved = float(frechet(*weighted(x, weights), *weighted(y, weights)))
        assert float(values[i]) - base == pytest.approx((moved - base) / step, rel=1e-3)


def test_two_halves_have_the_distance_of_the_halves_and_an_error_of_half_as_many() -> None:
    x, order = features(101), torch.arange(100, -1, -1)
    one, two = x[order[0:100:2]], x[order[1:100:2]]
    values, pairs = halves(x, order), linearised(one, two)
    assert len(values) == 101
    assert float(values.mean()) == pytest.approx(distance(one, two))
    error = float(values.std() / 101**0.5)
    assert error == pytest.approx(float(pairs.std() / 50**0.5), rel=0.03)

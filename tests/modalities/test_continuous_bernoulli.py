"""The continuous Bernoulli is a density at every logit, with its mean, quantile and samples."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch.autograd import gradcheck

from mmvae.modalities.continuous_bernoulli_distribution import ContinuousBernoulli, bounded

LOGITS = [-255.0, -100.0, -16.5, -3.0, -0.999, -1e-3, 0.0, 1e-9, 5e-4, 0.4, 1.001, 16.0, 20.0]
LOGITS += [50.0, 255.0]
EXTREME = [0.0, -0.0, 1e-38, -1e-4, 1.0, -88.0, 89.0, 104.0, -255.0, 1e4, -1e30, 3e38]


def nodes() -> tuple[torch.Tensor, torch.Tensor]:
    """Gauss-Legendre nodes and weights on [0, 1], in pieces that are finer towards both ends."""
    x, w = np.polynomial.legendre.leggauss(40)
    cuts = np.concatenate([[0], np.logspace(-4, math.log10(0.5), 12)])
    cuts = np.unique(np.concatenate([cuts, 1 - cuts]))
    low, width = cuts[:-1, None], np.diff(cuts)[:, None]
    return tuple(torch.from_numpy(v.ravel()) for v in (low + width * (x + 1) / 2, width * w / 2))


def moments(logit: float) -> tuple[float, float, float]:
    """Log-normaliser, mean and variance by quadrature of exp(l x)."""
    x, w = nodes()
    mass = w * torch.exp(logit * x - max(logit, 0.0))
    whole = mass.sum()
    mean = (mass * x).sum() / whole
    variance = (mass * (x - mean).square()).sum() / whole
    return -float(whole.log()) - max(logit, 0.0), float(mean), float(variance)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("logit", LOGITS)
def test_density_and_moments_are_those_of_quadrature(logit: float, dtype: torch.dtype) -> None:
    likelihood, (x, w) = ContinuousBernoulli(torch.tensor(logit, dtype=dtype)), nodes()
    exact = 1e-5 if dtype == torch.float32 else 1e-11
    total = (w * likelihood.log_prob(x.to(dtype)).double().exp()).sum()
    assert float(total) == pytest.approx(1, abs=exact)
    constant, mean, variance = moments(logit)
    assert float(likelihood.log_prob(torch.zeros((), dtype=dtype))) == pytest.approx(
        constant, rel=exact, abs=exact
    )
    assert float(likelihood.mean) == pytest.approx(mean, rel=exact)
    assert float(1 - likelihood.mean) == pytest.approx(1 - mean, rel=30 * exact)
    assert float(likelihood.variance) == pytest.approx(variance, rel=exact)
    entropy = -constant - logit * mean
    assert float(likelihood.entropy()) == pytest.approx(entropy, rel=exact, abs=exact)


def test_series_meet_the_closed_forms() -> None:
    for edge in (1.0, 1e-3):
        sides = torch.tensor([math.nextafter(edge, 0), edge], dtype=torch.float64)
        likelihood, x = ContinuousBernoulli(sides), torch.tensor(0.3, dtype=torch.float64)
        for value in (
            likelihood.log_prob(x),
            likelihood.mean,
            likelihood.variance,
            likelihood.entropy(),
            likelihood.cdf(x),
            likelihood.icdf(x),
        ):
            assert float(value[0]) == pytest.approx(float(value[1]), rel=1e-9)


@pytest.mark.parametrize("logit", LOGITS)
def test_quantile_and_distribution_function_undo_each_other(logit: float) -> None:
    for dtype, exact in ((torch.float32, 1e-4), (torch.float64, 1e-10)):
        likelihood = ContinuousBernoulli(torch.tensor(logit, dtype=dtype))
        share = torch.linspace(0, 1, 101, dtype=dtype)
        x = likelihood.icdf(share)
        torch.testing.assert_close(likelihood.cdf(x), share, atol=exact, rtol=0)
        assert (x.diff() >= 0).all()
        assert (float(x[0]), float(x[-1])) == (0.0, 1.0)


def test_the_distribution_function_is_the_integral_of_the_density() -> None:
    likelihood = ContinuousBernoulli(torch.tensor([-255.0, -2.0, 3e-4, 40.0]).double())
    x = torch.linspace(0, 1, 20_001).double()[:, None]
    density = likelihood.log_prob(x).exp()
    by_hand = torch.cumulative_trapezoid(density, x, dim=0)
    torch.testing.assert_close(likelihood.cdf(x)[1:], by_hand, atol=1e-4, rtol=0)


@pytest.mark.parametrize("logit", [-255.0, -20.0, -1.5, 1e-4, 0.5, 30.0, 200.0])
def test_samples_follow_the_density(logit: float) -> None:
    """Shares of ten cells of equal probability, by a chi-squared test at 1 in 10,000."""
    n = 20_000
    likelihood = ContinuousBernoulli(torch.tensor(logit))
    torch.manual_seed(0)
    drawn = likelihood.sample((n,))
    counts = torch.histc(likelihood.cdf(drawn).double(), 10, 0, 1)
    chi = float(((counts - n / 10).square() / (n / 10)).sum())
    assert chi < 33.7  # of nine degrees of freedom
    error = float((likelihood.variance / n).sqrt())
    assert float(drawn.double().mean()) == pytest.approx(float(likelihood.mean), abs=5 * error)


def test_gradients_are_those_of_the_functions() -> None:
    logits = [-300.0, -40.0, -3.0, -0.5, -5e-4, 3e-4, 0.4, 2.0, 60.0]
    at = torch.tensor(logits, dtype=torch.float64, requires_grad=True)
    x = torch.tensor(0.3, dtype=torch.float64)
    for function in (
        lambda logit: ContinuousBernoulli(logit).log_prob(x),
        lambda logit: ContinuousBernoulli(logit).mean,
        lambda logit: ContinuousBernoulli(logit).variance,
        lambda logit: ContinuousBernoulli(logit).entropy(),
        lambda logit: ContinuousBernoulli(logit).cdf(x),
        lambda logit: ContinuousBernoulli(logit).icdf(x),
        lambda logit: bounded(logit, 255.0),
    ):
        assert gradcheck(function, (at,))


def test_at_logit_0_the_slope_is_that_of_the_limit() -> None:
    at = torch.zeros(3, requires_grad=True)
    x = torch.tensor([0.0, 0.5, 1.0])
    (slope,) = torch.autograd.grad(ContinuousBernoulli(at).log_prob(x).sum(), at)
    torch.testing.assert_close(slope, x - 0.5)


@pytest.mark.parametrize("x", [0.0, 1e-7, 0.5, 1.0])
def test_everything_is_finite_in_float32_at_any_logit(x: float) -> None:
    at = torch.tensor(EXTREME, requires_grad=True)
    likelihood, value = ContinuousBernoulli(at), torch.full((len(EXTREME),), x)
    for result in (
        likelihood.log_prob(value),
        likelihood.mean,
        likelihood.variance,
        likelihood.entropy(),
        likelihood.cdf(value),
        likelihood.icdf(value),
        bounded(at, 255.0),
    ):
        (slope,) = torch.autograd.grad(result.sum(), at)
        assert result.isfinite().all()
        assert slope.isfinite().all()


def test_it_behaves_as_torch_s_distributions() -> None:
    likelihood = ContinuousBernoulli(torch.zeros(3)).expand((2, 3))
    assert likelihood.batch_shape == (2, 3)
    assert likelihood.rsample((4,)).shape == (4, 2, 3)
    torch.testing.assert_close(ContinuousBernoulli(torch.tensor(0.0)).probs, torch.tensor(0.5))
    checked = ContinuousBernoulli(torch.zeros(1), validate_args=True)
    with pytest.raises(ValueError, match="support"):
        checked.log_prob(torch.tensor([1.5]))


def test_bounded_logits_are_the_same_up_to_half_the_bound_and_never_beyond_it() -> None:
    at = torch.linspace(-2000, 2000, 8001, dtype=torch.float64)
    bent = bounded(at, 255.0)
    small = at.abs() <= 127.5
    assert torch.equal(bent[small], at[small])
    assert (bent.abs() <= 255).all()
    assert (bent.diff() >= 0).all()
    slopes = bent.diff() / at.diff()
    assert slopes.diff().abs().max() < 0.01  # without a kink
    assert bounded(torch.tensor(1e9), 255.0) == 255

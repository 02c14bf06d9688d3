"""Identities of Gaussian posteriors, their divergences and their products."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.distributions import Independent, Normal
from torch.distributions import kl_divergence as torch_kl
from torch.testing import assert_close

from mmvae.models.experts import product_of_experts
from mmvae.models.posteriors import (
    DiagonalGaussian,
    Posterior,
    kl_divergence,
    register_kl,
)

seeds = st.integers(0, 2**31)
dims = st.integers(1, 6)


def gaussian(seed: int, b: int = 3, d: int = 4, dtype: torch.dtype = torch.float64):
    source = torch.Generator().manual_seed(seed)
    mean, spread = torch.randn(2, b, d, generator=source, dtype=torch.float64)
    return DiagonalGaussian(mean.to(dtype), spread.to(dtype))


def torch_normal(q: DiagonalGaussian) -> Independent:
    return Independent(Normal(q.mean, (0.5 * q.log_variance).exp()), 1)


class Opaque(Posterior):
    """A Gaussian of a type that no closed form knows."""

    def __init__(self, inner: DiagonalGaussian) -> None:
        self.inner = inner

    def rsample(self, noise: Tensor) -> Tensor:
        return self.inner.rsample(noise)

    def log_prob(self, z: Tensor) -> Tensor:
        return self.inner.log_prob(z)

    def point(self) -> Tensor:
        return self.inner.point()


# -- one Gaussian ---------------------------------------------------------------------------------


@settings(deadline=None)
@given(seeds, dims)
def test_log_prob_is_torchs(seed: int, d: int) -> None:
    q = gaussian(seed, d=d)
    z = torch.randn(5, 3, d, dtype=torch.float64)
    assert_close(q.log_prob(z), torch_normal(q).log_prob(z))


def test_samples_have_the_moments_of_the_distribution() -> None:
    q, k = gaussian(0), 200_000
    z = q.rsample(torch.randn(k, 3, 4, dtype=torch.float64))
    variance = q.log_variance.exp()
    assert ((z.mean(0) - q.mean).abs() < 5 * (variance / k).sqrt()).all()
    assert ((z.var(0) / variance - 1).abs() < 5 * (2 / k) ** 0.5).all()


def test_samples_are_reparameterised() -> None:
    q, noise = gaussian(1), torch.randn(3, 4, dtype=torch.float64)
    q.mean.requires_grad_()
    q.log_variance.requires_grad_()
    q.rsample(noise).sum().backward()
    assert_close(q.mean.grad, torch.ones_like(q.mean))
    assert_close(q.log_variance.grad, 0.5 * (0.5 * q.log_variance.detach()).exp() * noise)


def test_detached_is_the_same_distribution_without_gradients() -> None:
    q = gaussian(2)
    q.mean.requires_grad_()
    q.log_variance.requires_grad_()
    held = q.detach()
    assert torch.equal(held.mean, q.mean)
    assert torch.equal(held.log_variance, q.log_variance)
    assert not held.mean.requires_grad
    assert not held.log_variance.requires_grad


def test_standard_is_standard_normal() -> None:
    p, z = DiagonalGaussian.standard(torch.empty(3, 4)), torch.randn(3, 4)
    assert_close(p.log_prob(z), Independent(Normal(torch.zeros(3, 4), 1.0), 1).log_prob(z))
    assert torch.equal(p.point(), torch.zeros(3, 4))


# -- KL -------------------------------------------------------------------------------------------


@settings(deadline=None)
@given(seeds, seeds, dims)
def test_kl_is_torchs_and_not_negative(seed: int, other: int, d: int) -> None:
    q, p = gaussian(seed, d=d), gaussian(other, d=d)
    kl = kl_divergence(q, p)
    assert_close(kl, torch_kl(torch_normal(q), torch_normal(p)))
    assert (kl >= 0).all()


@settings(deadline=None)
@given(
    st.floats(-8, 8),
    st.floats(-8, 8),
    st.one_of(st.just(0.0), st.floats(1e-3, 4), st.floats(-4, -1e-3)),
    st.one_of(st.just(0.0), st.floats(1e-3, 4), st.floats(-4, -1e-3)),
)
def test_kl_is_zero_only_at_equality(mean: float, log: float, shift: float, stretch: float):
    q = DiagonalGaussian(torch.tensor([[mean]]), torch.tensor([[log]]))
    p = DiagonalGaussian(torch.tensor([[mean + shift]]), torch.tensor([[log + stretch]]))
    kl = kl_divergence(_double(q), _double(p)).item()
    same = torch.equal(q.mean, p.mean) and torch.equal(q.log_variance, p.log_variance)
    assert kl == 0.0 if same else kl > 0.0


def _double(q: DiagonalGaussian) -> DiagonalGaussian:
    return DiagonalGaussian(q.mean.double(), q.log_variance.double())


def test_kl_is_a_monte_carlo_mean_within_its_error() -> None:
    q, p, k = gaussian(3), gaussian(4), 100_000
    z = q.rsample(torch.randn(k, 3, 4, dtype=torch.float64))
    ratio = q.log_prob(z) - p.log_prob(z)
    error = ratio.std(0) / k**0.5
    assert ((ratio.mean(0) - kl_divergence(q, p)).abs() < 5 * error).all()


def test_sampled_kl_agrees_with_the_closed_form() -> None:
    q, p, k = gaussian(5), gaussian(6), 100_000
    z = q.rsample(torch.randn(k, 3, 4, dtype=torch.float64))
    sampled = kl_divergence(Opaque(q), p, z)
    error = (q.log_prob(z) - p.log_prob(z)).std(0) / k**0.5
    assert ((sampled - kl_divergence(q, p)).abs() < 5 * error).all()


def test_sampled_kl_takes_one_sample_or_several() -> None:
    q, p = gaussian(7), gaussian(8)
    z = torch.randn(5, 3, 4, dtype=torch.float64)
    one = torch.stack([kl_divergence(Opaque(q), p, each) for each in z])
    assert one.shape == (5, 3)
    assert_close(kl_divergence(Opaque(q), p, z), one.mean(0))


def test_kl_without_closed_form_or_samples_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"KL\(Opaque ‖ DiagonalGaussian\).*samples"):
        kl_divergence(Opaque(gaussian(0)), gaussian(0))


def test_a_registered_closed_form_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    from mmvae.models import posteriors

    monkeypatch.setattr(posteriors, "_closed_forms", dict(posteriors._closed_forms))
    q, p = gaussian(9), gaussian(10)
    register_kl(Opaque, DiagonalGaussian)(lambda a, b: kl_divergence(a.inner, b))
    assert torch.equal(kl_divergence(Opaque(q), p), kl_divergence(q, p))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_raised_before_the_mathematics(dtype: torch.dtype) -> None:
    q, p = gaussian(12, dtype=dtype), gaussian(13, dtype=dtype)
    assert q.mean.dtype == q.log_variance.dtype == torch.float32
    kl = kl_divergence(q, p)
    assert kl.dtype == torch.float32
    assert_close(kl.double(), kl_divergence(_double(q), _double(p)), rtol=1e-6, atol=1e-6)
    assert q.rsample(torch.randn(3, 4)).dtype == torch.float32
    assert q.log_prob(torch.randn(3, 4)).dtype == torch.float32


@pytest.mark.parametrize("spread", [-20.0, 20.0, -80.0, 90.0, -200.0, 1e4, -3e38, 3e38])
@pytest.mark.parametrize("other", [0.0, -200.0, 200.0])
def test_divergences_and_their_gradients_stay_finite_in_float32(spread, other) -> None:
    raw = torch.full((3, 2), spread, requires_grad=True)
    q, p = DiagonalGaussian(torch.ones(3, 2), raw), DiagonalGaussian(torch.ones(3, 2), raw + other)
    z = q.rsample(torch.randn(5, 3, 2))
    for nats in (kl_divergence(q, p), kl_divergence(p, q), q.log_prob(torch.zeros(3, 2))):
        assert torch.isfinite(nats).all()
        (slope,) = torch.autograd.grad(nats.sum(), raw, retain_graph=True)
        assert torch.isfinite(slope).all()
    assert torch.isfinite(z).all()
    made = product_of_experts([q, p])
    assert torch.isfinite(made.mean).all()
    assert torch.isfinite(made.log_variance).all()


@pytest.mark.parametrize("spread", [-20.0, 20.0])
def test_far_variances_stay_finite_in_float32(spread: float) -> None:
    q = DiagonalGaussian(torch.zeros(1, 2), torch.full((1, 2), spread))
    p = DiagonalGaussian.standard(q.mean)
    assert torch.isfinite(kl_divergence(q, p)).all()
    assert torch.isfinite(q.log_prob(torch.zeros(1, 2))).all()


# -- product of experts ---------------------------------------------------------------------------


def exact_posterior(parts: list[tuple[Tensor, Tensor, Tensor]]) -> DiagonalGaussian:
    """q(z | x of these parts) for x = scale · z + noise of variance v, dimension by dimension."""
    precision = 1.0 + sum(scale**2 / v for scale, v, _ in parts)
    mean = sum(scale * x / v for scale, v, x in parts) / precision
    return DiagonalGaussian(mean, -precision.log())


@settings(deadline=None)
@given(seeds, st.integers(1, 5))
def test_product_is_exact_on_a_linear_gaussian_model(seed: int, count: int) -> None:
    source = torch.Generator().manual_seed(seed)
    parts = []
    for _ in range(count):
        scale, x = torch.randn(2, 3, 4, generator=source, dtype=torch.float64)
        parts.append((scale, 0.1 + torch.rand(3, 4, generator=source, dtype=torch.float64), x))
    product = product_of_experts([exact_posterior([part]) for part in parts])
    exact = exact_posterior(parts)
    assert_close(product.mean, exact.mean)
    assert_close(product.log_variance, exact.log_variance)


@settings(deadline=None)
@given(seeds)
def test_one_expert_is_itself(seed: int) -> None:
    expert = gaussian(seed)
    product = product_of_experts([expert])
    assert torch.equal(product.mean, expert.mean)
    assert torch.equal(product.log_variance, expert.log_variance)


@settings(deadline=None)
@given(seeds, st.permutations(range(4)))
def test_order_of_experts_changes_nothing(seed: int, order: list[int]) -> None:
    experts = [gaussian(seed + i) for i in range(4)]
    one, other = product_of_experts(experts), product_of_experts([experts[i] for i in order])
    assert_close(one.mean, other.mean)
    assert_close(one.log_variance, other.log_variance)


experts = st.lists(st.tuples(st.floats(0.01, 5.0), st.floats(-3, 3)), min_size=2, max_size=9)


def product(experts: list[tuple[float, float]]) -> tuple[float, float]:
    """Precision and mean of the product of one-dimensional experts, given as such pairs."""
    wide = torch.tensor(experts, dtype=torch.float64)
    parts = [DiagonalGaussian(m.view(1, 1), -p.log().view(1, 1)) for p, m in wide]
    made = product_of_experts(parts)
    return made.log_variance.neg().exp().item(), made.mean.item()


@settings(deadline=None)
@given(experts)
def test_no_product_is_broader_than_the_prior_and_its_mean_is_bounded(experts) -> None:
    """|μ| ≤ Σ_k Λ_k |μ_k|, whatever the precisions are."""
    precision, mean = product(experts)
    assert precision >= 1 - 1e-12
    assert abs(mean) <= sum(p * abs(m) for p, m in experts) * (1 + 1e-9) + 1e-12


@settings(deadline=None)
@given(st.lists(st.tuples(st.floats(1.0, 50.0), st.floats(-3, 3)), min_size=2, max_size=9))
def test_a_product_is_exact_where_no_expert_is_broader_than_the_prior(experts) -> None:
    precision, mean = product(experts)
    exact = sum(p for p, _ in experts) - (len(experts) - 1)
    assert precision == pytest.approx(exact, rel=1e-9)
    assert mean == pytest.approx(sum(p * m for p, m in experts) / exact, rel=1e-9, abs=1e-9)


def test_a_mean_lies_outside_its_experts_where_that_is_right() -> None:
    """Experts that know little and agree: the prior drew each to 0, and counts but once."""
    assert product([(1.01, 1.0)] * 8) == pytest.approx((1.08, 8.08 / 1.08))
    assert product([(0.6, 1.0)] * 8) == pytest.approx((1.0, 4.8))


@settings(deadline=None)
@given(experts, st.integers(0, 8), st.floats(-1e-6, 1e-6))
def test_a_product_is_continuous_in_every_precision(experts, place: int, step: float) -> None:
    for at in (experts[place % len(experts)][0], 1.0):  # 1 is where the formula bends
        near = [list(experts), list(experts)]
        for nudged, p in zip(near, (at, at + step), strict=True):
            nudged[place % len(experts)] = (p, experts[place % len(experts)][1])
        assert product(near[0]) == pytest.approx(product(near[1]), abs=1e-3)


def test_an_expert_that_is_no_gaussian_is_refused() -> None:
    with pytest.raises(ValueError, match="got Opaque"):
        product_of_experts([gaussian(0), Opaque(gaussian(1))])


# -- held fixed for gradients ---------------------------------------------------------------------


@settings(deadline=None)
@given(seeds, dims)
def test_held_fixed_a_density_has_its_slope_in_z_and_none_in_its_parameters(seed: int, d: int):
    free = gaussian(seed, d=d)
    mean = free.mean.requires_grad_()
    z = gaussian(seed + 1, d=d).mean.requires_grad_()
    held = Opaque(DiagonalGaussian(mean, free.log_variance)).detach()
    nats = held.log_prob(z)
    assert_close(nats, free.log_prob(z))
    slope, none = torch.autograd.grad(nats.sum(), (z, mean), allow_unused=True)
    (own,) = torch.autograd.grad(free.log_prob(z).sum(), z)
    assert none is None
    assert_close(slope, own)
    assert not held.rsample(torch.ones_like(z)).requires_grad
    assert not held.point().requires_grad
    assert held.detach() is held

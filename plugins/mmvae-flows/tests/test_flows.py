"""Flows and mixtures against the contract, closed forms and themselves."""

from __future__ import annotations

import math

import pytest
import torch
from mmvae_flows import Flow, Mixture, MixturePosterior
from torch import Tensor
from torch.distributions import Categorical, Independent, MixtureSameFamily, Normal
from torch.testing import assert_close

from mmvae import ConfigError
from mmvae.experiments.config import load_experiment
from mmvae.testing import FamilyContract

B, K, D = 3, 4, 2


class TestAffineCouplings(FamilyContract):
    family = Flow
    keys = {"hidden": [16], "transforms": 2, "context": 4}


class TestSplinesOneDimensionAtATime(FamilyContract):
    family = Flow
    keys = {"hidden": [16], "transforms": 2, "univariate": "spline", "passes": "all", "context": 4}


class TestFlowOfAMixture(FamilyContract):
    family = Flow
    keys = {"hidden": [16], "transforms": 2, "components": 3, "context": 4}


class TestMixture(FamilyContract):
    family = Mixture
    keys = {"components": 3}


def mixture() -> MixturePosterior:
    return MixturePosterior(torch.randn(B, K), 2 * torch.randn(B, K, D), torch.randn(B, K, D) / 4)


def test_a_mixture_is_torch_s():
    q = mixture()
    parts = Independent(Normal(q.means, q.log_scales.exp()), 1)
    theirs = MixtureSameFamily(Categorical(logits=q.log_weights), parts)
    z = 3 * torch.randn(7, B, D)
    assert_close(q.log_prob(z), theirs.log_prob(z))
    assert_close(q.log_prob(z[0]), theirs.log_prob(z[0]))


def shares_and_rests(q: MixturePosterior, noise: Tensor) -> tuple[Tensor, Tensor]:
    """Of a mixture whose means are 0, 10, …: how often which is drawn, and what is beside it."""
    z = q.rsample(noise).squeeze(-2)
    count = q.means.shape[-2]
    nearest = (z[..., 0] / 10).round().clamp(0, count - 1)
    shares = torch.stack([(nearest == k).float().mean() for k in range(count)])
    return shares, z - q._of(q.means[0], nearest.long().unsqueeze(-1))


def row_of(weights: list[float], dimensions: int) -> MixturePosterior:
    means = torch.zeros(1, len(weights), dimensions)
    means[0, :, 0] = 10 * torch.arange(len(weights))
    return MixturePosterior(torch.tensor([weights]).log(), means, torch.zeros_like(means))


WEIGHTS = [0.3, 0.2, 0.1, 0.05, 0.35]


@pytest.mark.parametrize("dimensions", [1, 2, 3])
def test_a_mixture_chooses_its_components_by_their_weights(dimensions: int):
    n = 50_000
    shares, rest = shares_and_rests(row_of(WEIGHTS, dimensions), torch.randn(n, 1, dimensions))
    assert_close(shares, torch.tensor(WEIGHTS), atol=4 * 0.5 / n**0.5, rtol=0)
    # what is left of the noise is standard normal again
    assert_close(rest.mean(0), torch.zeros(dimensions), atol=4 / n**0.5, rtol=0)
    assert_close(rest.T.cov(), torch.eye(dimensions).squeeze(), atol=6 / n**0.5, rtol=0)
    assert_close((rest**4).mean(0), torch.full((dimensions,), 3.0), atol=0.2, rtol=0)


@pytest.mark.parametrize("dimensions", [1, 2, 5])
@pytest.mark.parametrize("temperature", [0.7, 0.3, 1e-3])
def test_a_temperature_leaves_the_shares_of_components_as_they_are(dimensions, temperature):
    n = 50_000
    noise = temperature * torch.randn(n, 1, dimensions)
    shares, rest = shares_and_rests(row_of(WEIGHTS, dimensions), noise)
    assert_close(shares, torch.tensor(WEIGHTS), atol=4 * 0.5 / n**0.5, rtol=0)
    spread = torch.full((dimensions,), temperature)
    assert_close(rest.std(0), spread, atol=0, rtol=4 / n**0.5)


@pytest.mark.parametrize("dimensions", [1, 2, 3])
def test_a_mixture_without_noise_is_at_its_best_point(dimensions: int):
    source = torch.Generator().manual_seed(0)
    for _ in range(20):
        weights = torch.rand(7, generator=source).tolist()
        q = row_of(weights, dimensions)
        at = q.rsample(torch.zeros(4, 1, dimensions))
        assert_close(at, q.point().expand(4, 1, -1))


@pytest.mark.parametrize("family", [Mixture, Flow])
@pytest.mark.parametrize("raw", [-1e3, -60.0, 60.0, 1e3])
def test_extreme_scales_stay_finite_with_their_gradients(family, raw):
    keys = {"hidden": [8], "transforms": 2} if family is Flow else {"components": 3}
    head = family(family.Config(**keys)).head(0, D)
    for name, numbers in head.named_parameters():
        if "log_scale" in name:
            numbers.data.fill_(raw)
    q = head(torch.zeros(B, 0))
    noise = torch.randn(B, D)
    for value in (q.rsample(noise), q.point(), q.log_prob(noise)):
        assert value.isfinite().all()
        value.sum().backward(retain_graph=True)
    assert all(p.grad.isfinite().all() for p in head.parameters() if p.grad is not None)


def test_rounding_lifts_no_density_above_its_peak():
    """Where σ is far below |μ| float32 cancels badly."""
    q = MixturePosterior(
        torch.zeros(1, 1), torch.full((1, 1, 64), 3.0), torch.full((1, 1, 64), -12.0)
    )
    peak = 64 * (12.0 - 0.5 * math.log(2 * math.pi))
    near = 3.0 + 1e-6 * torch.randn(100, 1, 64)
    assert (q.log_prob(near) <= peak * (1 + 1e-6)).all()


def test_samples_of_a_mixture_stay_finite_at_the_ends_of_the_noise():
    q = mixture()
    for size in (1e-30, 40.0, 1e10):
        noise = size * torch.tensor([[1.0, 1.0], [-1.0, 0.0], [0.0, -1.0]])
        assert q.rsample(noise).isfinite().all()
        assert q.rsample(-noise).isfinite().all()
    for weights in ([1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.5, 0.0, 0.5]):
        for dimensions in (1, 2):
            noise = torch.randn(1000, 1, dimensions)
            assert row_of(weights, dimensions).rsample(noise).isfinite().all()


def test_a_flow_samples_where_its_density_says():
    """The inverse of a flow undoes it: log q at a sample is that of its noise and the slope."""
    head = Flow(Flow.Config(hidden=[16], transforms=3)).head(0, 3)
    q = head(torch.zeros(1, 0))
    noise = torch.randn(1, 3)
    z = q.rsample(noise)
    slope = torch.autograd.functional.jacobian(lambda e: q.rsample(e).squeeze(0), noise).squeeze(1)
    base = -0.5 * (noise.square() + math.log(2 * math.pi)).sum()
    assert_close(q.log_prob(z).squeeze(), base - slope.squeeze().det().abs().log())
    assert_close(q.point(), q.rsample(torch.zeros(1, 3)))


@pytest.mark.parametrize("keys", [{}, {"components": 3}])
def test_a_flow_begins_with_the_spread_of_what_it_fits(keys):
    head = Flow(Flow.Config(hidden=[16], transforms=2, **keys)).head(0, D)
    z = torch.tensor([5.0, -3.0]) + torch.tensor([2.0, 0.1]) * torch.randn(1000, D)
    with torch.no_grad():
        before = head(torch.zeros(1, 0)).log_prob(z.unsqueeze(1)).mean()
        head.begin(z, z)
        q = head(torch.zeros(1, 0))
    assert_close(q.location[0], z.mean(0))
    assert_close(q.log_scale[0].exp(), z.std(0))
    assert q.log_prob(z.unsqueeze(1)).mean() > before + 5


@pytest.mark.parametrize("components", [5, 20])
def test_a_mixture_begins_on_samples(components):
    head = Mixture(Mixture.Config(components=components)).head(0, D)
    z, samples = torch.randn(10, D), 3 * torch.randn(10, D)
    with torch.no_grad():
        head.begin(samples, z)
    q = head(torch.zeros(1, 0))
    distance = torch.cdist(q.means[0], z).amin(1)
    assert_close(distance, torch.zeros(components), atol=1e-3, rtol=0)
    assert_close(q.log_scales[0].exp(), (0.75 * samples.std(0)).expand(components, D))


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        ("family = 'flows'", "unknown family 'flows'; installed plugins offer: flow, mixture"),
        ("family = 'flow'\npasses = 1", "posterior.passes = 1: expected a number >= 2 or 'all'"),
        ("family = 'flow'\ncomponent = 3", "posterior.component = 3: unknown key"),
        ("family = 'mixture'\nsubset = ['b']", "unknown key. Did you mean 'subsets'?"),
        ("transforms = 3", "posterior.family: this key is required"),
    ],
)
def test_a_wrong_table_is_told(tmp_path, keys, told):
    config = tmp_path / "config.toml"
    config.write_text(
        "[data]\nsource = 'digits'\n[modalities.image]\ncodec = 'bernoulli-image'\n"
        f"[modalities.label]\ncodec = 'categorical'\n[posterior]\n{keys}\n"
    )
    with pytest.raises(ConfigError) as error:
        load_experiment(config)
    assert told in str(error.value)

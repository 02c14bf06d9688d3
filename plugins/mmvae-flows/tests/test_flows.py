"""Flows and mixtures against the contract, closed forms and themselves."""

from __future__ import annotations

import math

import pytest
import torch
from mmvae_flows import Flow, Mixture, MixturePosterior
from torch.distributions import Categorical, Independent, MixtureSameFamily, Normal
from torch.testing import assert_close

from mmvae import ConfigError
from mmvae.config import load_experiment
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


def test_a_mixture_chooses_its_components_by_their_weights():
    q = MixturePosterior(
        torch.tensor([[0.1, 0.6, 0.3]]).log(),
        torch.tensor([[[-10.0, 0.0], [0.0, 0.0], [10.0, 0.0]]]),
        torch.zeros(1, 3, 2),
    )
    n = 50_000
    z = q.rsample(torch.randn(n, 1, 2)).squeeze(1)
    nearest = (z[:, 0] / 10).round().clamp(-1, 1)
    shares = torch.stack([(nearest == place).float().mean() for place in (-1, 0, 1)])
    assert_close(shares, torch.tensor([0.1, 0.6, 0.3]), atol=4 * 0.5 / n**0.5, rtol=0)
    within = z[:, 0] - 10 * nearest  # what is left of the noise is standard normal again
    assert_close(within.mean(), torch.tensor(0.0), atol=4 / n**0.5, rtol=0)
    assert_close(within.var(), torch.tensor(1.0), atol=4 * math.sqrt(2 / n), rtol=0)
    assert_close((within**4).mean(), torch.tensor(3.0), atol=0.2, rtol=0)


def test_samples_of_a_mixture_stay_finite_at_the_ends_of_the_noise():
    q = mixture()
    noise = torch.full((B, D), 40.0)
    assert q.rsample(noise).isfinite().all()
    assert q.rsample(-noise).isfinite().all()


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

"""Encoders: batched heads against separate ones, and what each posterior may see."""

from __future__ import annotations

import math

import pytest
import torch
from linear_gaussian import jmvae, linear_codecs
from torch import Tensor
from torch.nn import functional as F
from torch.testing import assert_close

from mmvae.foundations.networks import mlp
from mmvae.modalities.subsets import family
from mmvae.models.heads import MaskedHead, SubsetHeads, gaussian
from mmvae.models.posterior_network import PosteriorNetwork
from mmvae.models.posteriors import DiagonalGaussian, kl_divergence
from mmvae.models.subset_posteriors import SubsetPosteriors

NAMES = ("a", "b", "c", "d")
CODECS = linear_codecs(a={"dim": 3}, b={"dim": 2}, c={"dim": 4}, d={"dim": 1})
B, F_DIM, D, H = 5, 3, 2, 6


def heads(spec: str = "all") -> SubsetHeads:
    return SubsetHeads(family(spec, NAMES), NAMES, F_DIM, D, H, "tanh", "exp")


def inputs(b: int = B) -> dict[str, Tensor]:
    return {m: torch.randn(b, *c.event_shape) for m, c in CODECS.items()}


def model(trunks: str, **keys):
    if trunks == "masked":
        return jmvae(CODECS, subsets="all", heads="masked", **keys)
    return jmvae(CODECS, subsets="all", trunks=trunks, **keys)


# -- heads ----------------------------------------------------------------------------------------


def test_batched_heads_are_separate_networks() -> None:
    network, features = heads(), torch.randn(B, 4 * F_DIM)
    torch.nn.init.normal_(network.hidden_bias)
    torch.nn.init.normal_(network.heads_bias)
    q = network(features, range(14))
    for k, subset in enumerate(family("all", NAMES)):
        inside = torch.cat([torch.full((F_DIM,), m in subset) for m in NAMES])
        weight = network.hidden[k][inside]  # a network with these inputs alone
        hidden = torch.tanh(features[:, inside] @ weight + network.hidden_bias[k])
        raw = hidden @ network.heads[k] + network.heads_bias[k]
        assert_close(q.mean[k], raw[:, :D])
        assert_close(q.log_variance[k], raw[:, D:])


@pytest.mark.parametrize("drawn", [[0], [3, 7], [13, 2, 5], list(range(13))])
def test_drawn_heads_are_those_of_all(drawn: list[int]) -> None:
    network, features = heads(), torch.randn(B, 4 * F_DIM)
    every, some = network(features, range(14)), network(features, drawn)
    assert some.mean.shape == (len(drawn), B, D)
    assert_close(some.mean, every.mean[drawn])
    assert_close(some.log_variance, every.log_variance[drawn])


def test_heads_begin_with_the_spread_that_their_inputs_ask_for() -> None:
    network = SubsetHeads(family("all", NAMES), NAMES, 50, D, 64, "tanh", "exp")
    for k, subset in enumerate(family("all", NAMES)):
        bound = (len(subset) * 50) ** -0.5
        assert network.hidden[k].abs().max() <= bound
        assert network.hidden[k].abs().max() > 0.95 * bound


def test_a_masked_head_is_one_network_of_the_features_and_which_they_are() -> None:
    network = MaskedHead(family("all", NAMES), NAMES, F_DIM, D, H, "tanh", "exp")
    features = torch.randn(B, 4 * F_DIM)
    q = network(features, range(14))
    for k, subset in enumerate(family("all", NAMES)):
        mask = torch.tensor([float(m in subset) for m in NAMES])
        seen = features * mask.repeat_interleave(F_DIM)
        first = torch.tanh(seen @ network.parts.flatten(0, 1) + network.which(mask))
        raw = network.heads(torch.tanh(network.hidden(first)))
        assert_close(q.mean[k], raw[:, :D])
        assert_close(q.log_variance[k], raw[:, D:])


def test_a_masked_head_weighs_the_same_for_any_number_of_subsets() -> None:
    few, many = (
        MaskedHead(family(spec, NAMES), NAMES, F_DIM, D, H, "tanh", "exp")
        for spec in ("singletons", "all")
    )
    sizes = [sum(p.numel() for p in head.parameters()) for head in (few, many)]
    assert sizes[0] == sizes[1]


def gaussians(drawn: SubsetPosteriors) -> DiagonalGaussian:
    """Posteriors that are all diagonal Gaussians, batch shape (n, b)."""
    ((_, q),) = drawn.groups
    return q


# -- what a subset posterior sees -----------------------------------------------------------------


@pytest.mark.parametrize("trunks", ["separate", "joint-apart", "shared", "masked"])
def test_values_outside_a_subset_change_nothing_in_its_posterior(trunks: str) -> None:
    encoders, x = model(trunks).encoders, inputs()
    everything = list(range(14))
    _, before = encoders(x, everything)
    for m in NAMES:
        changed = x | {m: x[m] + 100.0}
        _, after = encoders(changed, everything)
        for k, subset in enumerate(family("all", NAMES)):
            same = torch.equal(gaussians(before).mean[k], gaussians(after).mean[k])
            assert same == (m not in subset)


@pytest.mark.parametrize("trunks", ["separate", "joint-apart", "shared", "masked"])
def test_a_subset_alone_is_what_it_is_among_all(trunks: str) -> None:
    encoders, x = model(trunks).encoders, inputs()
    joint, together = encoders(x, list(range(14)))
    for k, subset in enumerate(family("all", NAMES)):
        alone = encoders.subset({m: x[m] for m in subset}, k)
        assert_close(alone.mean, gaussians(together).mean[k])
        assert_close(alone.log_variance, gaussians(together).log_variance[k])
    assert_close(encoders.joint(x).mean, joint.mean)


@pytest.mark.parametrize("trunks", ["separate", "joint-apart", "shared", "masked"])
def test_without_drawn_subsets_there_is_the_joint_posterior_alone(trunks: str) -> None:
    encoders, x = model(trunks).encoders, inputs()
    joint, none = encoders(x, [])
    assert none is None
    assert torch.equal(joint.mean, encoders.joint(x).mean)


@pytest.mark.parametrize("trunks", ["separate", "joint-apart", "shared", "masked"])
def test_items_of_a_batch_do_not_mix(trunks: str) -> None:
    encoders, x = model(trunks).encoders, inputs()
    _, together = encoders(x, [0, 8])
    for i in range(B):
        _, alone = encoders({m: v[i : i + 1] for m, v in x.items()}, [0, 8])
        assert_close(gaussians(alone).mean[:, 0], gaussians(together).mean[:, i])


def test_separate_posteriors_share_no_parameter_and_shared_ones_their_trunks() -> None:
    networks = model("separate").encoders
    groups = [networks.joint_posterior, *networks.subset_posteriors]
    owned = [{id(p) for p in group.parameters()} for group in groups]
    assert sum(map(len, owned)) == len(set().union(*owned))
    shared = model("shared").encoders
    assert set(shared.trunks) == set(NAMES)
    assert not list(shared.joint_posterior.trunks.parameters())


def test_a_joint_posterior_apart_is_moved_by_no_subset_posterior_and_moves_none() -> None:
    encoders, x = model("joint-apart").encoders, inputs()
    own = {id(p) for p in encoders.joint_posterior.parameters()}
    rest = [p for p in encoders.parameters() if id(p) not in own]
    joint, drawn = encoders(x, list(range(14)))
    joint.mean.sum().backward(retain_graph=True)
    assert all(p.grad is None for p in rest)
    assert all(bool(p.grad.any()) for p in encoders.joint_posterior.trunks.parameters())
    encoders.zero_grad()
    gaussians(drawn).mean.sum().backward()
    assert all(p.grad is None for p in encoders.joint_posterior.parameters())
    assert all(bool(p.grad.any()) for p in encoders.trunks.parameters())


def test_many_subsets_do_not_outweigh_the_model() -> None:
    """A head grows by the narrow features, not by the width of the trunks."""
    wide = linear_codecs(**{m: {"dim": 1000} for m in NAMES})
    encoders = jmvae(wide, subsets="all", feature_dim=4, head_dim=5).encoders
    per_head = 4 * 4 * 5 + 5 + 5 * 4 + 4
    assert sum(p.numel() for p in encoders.subset_heads.parameters()) == 14 * per_head


# -- one posterior --------------------------------------------------------------------------------


@pytest.mark.parametrize("fusion", ["dense", "linear"])
def test_a_posterior_is_trunks_fusion_and_heads(fusion: str) -> None:
    trunks = {"a": mlp(3, [4]), "b": mlp(2, [5])}
    network = PosteriorNetwork(trunks, {"a": 4, "b": 5}, D, fusion, 7, "silu", "exp")
    x = inputs()
    features = torch.cat([trunks["a"](x["a"]), trunks["b"](x["b"])], 1)
    if fusion == "dense":
        features = F.silu(network.fusion[0](features))
    q, raw = network(x), network.heads(features)
    assert_close(q.mean, raw[:, :D])
    assert_close(q.log_variance, raw[:, D:])
    assert network.heads.in_features == (7 if fusion == "dense" else 9)


def test_the_variance_is_exp_or_softplus_of_the_heads_output() -> None:
    raw = torch.tensor([[1.0, 2.0, -3.0, 0.5]])
    assert_close(gaussian(raw, "exp").log_variance.exp(), raw[:, 2:].exp())
    assert_close(gaussian(raw, "softplus").log_variance.exp(), F.softplus(raw[:, 2:]))
    assert torch.equal(gaussian(raw, "softplus").mean, raw[:, :2])


@pytest.mark.parametrize("variance", ["exp", "softplus"])
@pytest.mark.parametrize("spread", [-26.0, -80.0, -500.0, 40.0, 90.0, 1e5, -3e38, 3e38])
def test_variances_are_bounded_with_a_gradient_towards_the_middle(variance, spread) -> None:
    raw = torch.tensor([[0.5, spread]], requires_grad=True)
    q = gaussian(raw, variance)
    assert q.log_variance.abs() <= 30
    p = DiagonalGaussian.standard(q.mean)
    nats = kl_divergence(q, p) + kl_divergence(p, q)
    (slope,) = torch.autograd.grad(nats.sum(), raw)
    assert torch.isfinite(nats).all()
    assert torch.isfinite(slope).all()
    if abs(spread) < 1e3:
        assert slope[0, 1].sign() == torch.tensor(spread).sign()


def test_a_softplus_variance_stays_finite_where_it_underflows() -> None:
    raw = torch.tensor([[0.0, -200.0]], requires_grad=True)
    q = gaussian(raw, "softplus")
    assert torch.isfinite(q.log_variance).all()
    q.log_variance.sum().backward()
    assert torch.isfinite(raw.grad).all()


@pytest.mark.parametrize("variance", ["exp", "softplus"])
def test_heads_in_half_precision_give_float32(variance: str) -> None:
    q = gaussian(torch.randn(3, 4, dtype=torch.bfloat16), variance)
    assert q.mean.dtype == q.log_variance.dtype == torch.float32


@pytest.mark.parametrize("variance", ["exp", "softplus"])
@pytest.mark.parametrize("trunks", ["separate", "joint-apart", "shared"])
def test_the_joint_posterior_alone_may_begin_narrow(trunks: str, variance: str) -> None:
    wide, narrow = (model(trunks, variance=variance, start_variance=v) for v in (1.0, 0.02))
    x = inputs()
    spread, thin = (made.encoders.joint(x).log_variance for made in (wide, narrow))
    assert_close(
        thin.mean(),
        spread.mean() + math.log(0.02),
        rtol=0,
        atol=1e-5 if variance == "exp" else 0.2,
    )
    for k, subset in enumerate(family("all", NAMES)):
        given = {m: x[m] for m in subset}
        same = [made.encoders.subset(given, k).log_variance for made in (wide, narrow)]
        assert torch.equal(*same)

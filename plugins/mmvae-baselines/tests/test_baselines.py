"""CVAE and CMMA against closed forms: linear-Gaussian codecs, several conditions."""

from __future__ import annotations

import pytest
import torch
from linear_gaussian import batch, linear_codecs, step_draws
from mmvae_baselines import CMMA, CVAE
from mmvae_baselines.conditional import conditional_terms
from torch import nn
from torch.distributions import MultivariateNormal, Normal

from mmvae import ConfigError, DiagonalGaussian, UsageError, kl_divergence
from mmvae.evaluation.bounds import iw_bound
from mmvae.evaluation.cross_generation import predictions
from mmvae.evaluation.elbo import bound_and_terms, shown_subsets

KINDS = {"cvae": CVAE, "cmma": CMMA}
CODECS = {"w": {"dim": 3}, "x": {"dim": 4, "sd": 0.8}, "v": {"dim": 2}}
"""The target stands between its two conditions, so that orders are told apart."""

VARIANCE, GIVEN = 0.8**2, ("w", "v")


def made(kind, **keys):
    """A model of x given w and v, with weights by a fixed seed."""
    keys = {"target": "x", "latent_dim": 2, "fusion_dim": 7, "activation": "tanh"} | keys
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return KINDS[kind](KINDS[kind].Config(**keys), linear_codecs(**CODECS))


def items(b, seed=1):
    source = torch.Generator().manual_seed(seed)
    return {m: torch.randn(b, keys["dim"], generator=source) for m, keys in CODECS.items()}


def given(x):
    return torch.cat([x[m] for m in GIVEN], 1)


@torch.no_grad()
def exact(kind, **keys):
    """A model with linear fusion whose posterior q(z|x, w) is set to the exact one."""
    model = made(kind, fusion="linear", **keys)
    decoder, heads = model.decoder["x"], model.encoder.heads
    a = nn.init.orthogonal_(decoder.weight[:, :2]).mul_(0.7)  # orthogonal: posteriors diagonal
    decoder.weight[:, :2] = a
    prior_precision, prior_map, prior_shift = torch.ones(2), torch.zeros(2, 5), torch.zeros(2)
    if kind == "cmma":  # p(z|w) = N(D [w, v] + e, diag s²), the same s for every w
        own = model.prior_network.heads
        own.weight[2:] = 0
        prior_precision = (-own.bias[2:]).exp()
        prior_map, prior_shift = own.weight[:2], own.bias[:2]
    precision = prior_precision + a.square().sum(0) / VARIANCE
    offset = decoder.weight[:, 2:] if kind == "cvae" else torch.zeros(4, 5)
    by_given = prior_precision[:, None] * prior_map - a.T @ offset / VARIANCE
    columns = [by_given[:, :3], a.T / VARIANCE, by_given[:, 3:]]  # in the order w, x, v
    heads.weight.zero_()
    heads.weight[:2] = torch.cat(columns, 1) / precision[:, None]
    heads.bias[:2] = (prior_precision * prior_shift - a.T @ decoder.bias / VARIANCE) / precision
    heads.bias[2:] = -precision.log()
    return model


@torch.no_grad()
def evidence(model, x):
    """log p(x|w, v), the closed form, shape (b,)."""
    weight, bias = model.decoder["x"].weight.double(), model.decoder["x"].bias.double()
    a, w = weight[:, :2], given(x).double()
    if model.kind == "cvae":
        mean, spread = w @ weight[:, 2:].T + bias, torch.eye(2).double()
    else:
        heads = model.prior_network.heads
        mean = (w @ heads.weight[:2].double().T + heads.bias[:2].double()) @ a.T + bias
        spread = heads.bias[2:].double().exp().diag()
    covariance = a @ spread @ a.T + VARIANCE * torch.eye(4).double()
    return MultivariateNormal(mean, covariance).log_prob(x["x"].double())


def divergence(q, mean, sd):
    """KL(q ‖ N(mean, sd²)) by torch's own formula."""
    ours = Normal(q.mean, (q.log_variance / 2).exp())
    return torch.distributions.kl_divergence(ours, Normal(mean, sd)).sum(1)


@torch.no_grad()
def expected(model, x):
    """The objective's parts in closed form: E log p(x|z, w), KL to the prior, KL to N(0, I)."""
    q, weight = model.posterior(x), model.decoder["x"].weight
    mean = q.mean @ weight[:, :2].T + model.decoder["x"].bias
    prior_mean, prior_sd = torch.zeros_like(q.mean), torch.ones_like(q.mean)
    if model.kind == "cvae":
        mean = mean + given(x) @ weight[:, 2:].T
    else:
        network = model.prior_network
        raw = network.heads(network.fusion(given(x)))
        prior_mean, prior_sd = raw[:, :2], (raw[:, 2:] / 2).exp()
    spread = (q.log_variance.exp() * weight[:, :2].square().sum(0)).sum(1) / VARIANCE
    reconstruction = Normal(mean, VARIANCE**0.5).log_prob(x["x"]).sum(1) - spread / 2
    zero, one = torch.zeros_like(q.mean), torch.ones_like(q.mean)
    return reconstruction, divergence(q, prior_mean, prior_sd), divergence(q, zero, one)


@pytest.mark.parametrize("prior_penalty", [None, "none", "standard"])
@pytest.mark.parametrize("beta", [0.0, 0.3, 1.0])
def test_loss_is_its_closed_form(prior_penalty, beta):
    if prior_penalty is None:
        model = made("cvae")
    else:
        model = made("cmma", prior_penalty=prior_penalty)
    x = {m: value.expand(40_000, -1) for m, value in items(1).items()}
    reconstruction, kl, standard = (float(v[0]) for v in expected(model, x))
    with torch.no_grad():
        terms = model.objective(model.kind, batch(x), step_draws(40_000), beta)
    added = {"standard": kl + beta * standard}.get(prior_penalty, beta * kl)
    error = float(terms.loss.std() / 200)
    assert abs(float(terms.loss.mean()) - (added - reconstruction)) < 5 * error
    torch.testing.assert_close(terms.named["kl"][0].item(), kl, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(
        terms.named["elbo"], terms.named["log_likelihood/x"] - terms.named["kl"]
    )
    assert ("penalty" in terms.named) == (prior_penalty == "standard")
    if prior_penalty == "standard":
        torch.testing.assert_close(terms.named["penalty"][0].item(), standard, rtol=1e-4, atol=0)


def test_the_likelihoods_weight_enters_the_loss_but_not_the_bound():
    log_likelihood, kl, penalty = (torch.tensor([value]) for value in (-3.0, 0.5, 0.25))
    plain = conditional_terms("x", log_likelihood, kl, None, 2.0, 0.1)
    assert plain.loss.item() == pytest.approx(0.1 * 0.5 + 2 * 3.0)
    assert plain.named["elbo"].item() == pytest.approx(-3.5)
    both = conditional_terms("x", log_likelihood, kl, penalty, 2.0, 0.1)
    assert both.loss.item() == pytest.approx(0.5 + 0.1 * 0.25 + 2 * 3.0)
    assert both.named["elbo"].item() == pytest.approx(-3.5)


@pytest.mark.parametrize("k", [1, 3])
@pytest.mark.parametrize("kind", KINDS)
def test_bound_is_the_conditional_evidence_under_the_exact_posterior(kind, k):
    model, x = exact(kind), items(50)
    bound = iw_bound(model, batch(x), ["x"], ["x", "v", "w"], k, step_draws(50), GIVEN)
    torch.testing.assert_close(bound.double(), evidence(model, x), atol=1e-4, rtol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_the_bound_lies_below_the_evidence_and_rises_with_k(kind):
    model, x = made(kind, fusion="linear"), items(2000)
    if kind == "cmma":
        with torch.no_grad():
            model.prior_network.heads.weight[2:] = 0  # as `evidence` has it
    truth = evidence(model, x).mean()
    bounds = [
        iw_bound(model, batch(x), ["x"], list(x), k, step_draws(2000), GIVEN).mean()
        for k in (1, 10, 100)
    ]
    assert bounds[0] < bounds[1] < bounds[2] < truth + 0.02


@pytest.mark.parametrize("kind", KINDS)
def test_many_samples_of_the_prior_give_the_evidence_too(kind):
    model, x = exact(kind), items(20)
    bound = iw_bound(model, batch(x), ["x"], GIVEN, 20_000, step_draws(20), GIVEN)
    torch.testing.assert_close(bound.double(), evidence(model, x), atol=0.1, rtol=0)


def test_divergence_is_zero_where_the_posterior_is_the_prior():
    x = items(6)
    cvae, cmma = made("cvae"), made("cmma", fusion="linear")
    with torch.no_grad():
        nn.init.zeros_(cvae.encoder.heads.weight)
        nn.init.zeros_(cvae.encoder.heads.bias)
        ours, theirs = cmma.encoder.heads, cmma.prior_network.heads
        ours.weight.zero_()
        ours.weight[:, :3], ours.weight[:, 7:] = theirs.weight[:, :3], theirs.weight[:, 3:]
        ours.bias.copy_(theirs.bias)
    for model in (cvae, cmma):
        kl = model.objective(model.kind, batch(x), step_draws(6), 1.0).named["kl"]
        torch.testing.assert_close(kl, torch.zeros(6), atol=1e-5, rtol=0)


@pytest.mark.parametrize("model", [made("cvae"), made("cmma")], ids=KINDS)
def test_gradient_reaches_every_parameter(model):
    model.objective(model.kind, batch(items(20)), step_draws(20), 0.5).loss.mean().backward()
    idle = [n for n, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    assert not idle
    trained = {id(p) for phase in model.phases() for p in phase.parameters}
    assert trained == {id(p) for p in model.parameters()}


def test_the_condition_enters_the_decoder_or_the_prior_alone():
    x, other = items(4), items(4, seed=2)
    w, changed = ({m: source[m] for m in GIVEN} for source in (x, other))
    z = torch.randn(4, 2)
    cvae, cmma = made("cvae"), made("cmma")
    assert not torch.equal(cvae.parameters_of("x", z, w), cvae.parameters_of("x", z, changed))
    assert torch.equal(cmma.parameters_of("x", z, w), cmma.parameters_of("x", z, changed))
    standard = DiagonalGaussian.standard(z)
    assert kl_divergence(cvae.prior(w, 4), standard).eq(0).all()
    assert not torch.equal(cmma.prior(w, 4).mean, cmma.prior(changed, 4).mean)
    for model in (cvae, cmma):
        torch.testing.assert_close(model.posterior(w).mean, model.prior(w, 4).mean)


@pytest.mark.parametrize("kind", KINDS)
def test_evaluation_bounds_the_conditional_and_guesses_the_target_alone(kind):
    model, x = exact(kind), items(30)
    figures = bound_and_terms(model, batch(x), step_draws(30))
    mean = figures["bounds", "elbo"].mean().double()
    torch.testing.assert_close(mean, evidence(model, x).mean(), atol=0.5, rtol=0)
    assert {name for group, name in figures if group == "terms"} == {"log_likelihood/x", "kl"}
    assert shown_subsets(model) == [GIVEN]
    assert set(predictions(model, batch(x), GIVEN)) == {"x"}


@pytest.mark.parametrize("kind", KINDS)
def test_what_can_be_had_is_said_where_another_figure_is_asked_for(kind):
    model = made(kind)
    everything = ("w", "x", "v")
    assert model.supports(("x",), GIVEN, everything) is None
    assert model.supports(("x",), GIVEN, GIVEN) is None
    for asked in (
        (everything, (), everything),
        (("x",), (), everything),
        (("x",), ("w",), everything),
        (("x",), GIVEN, ("x",)),
        (("w",), ("x", "v"), everything),
    ):
        assert "log p(x | w, v) by samples of its joint" in model.supports(*asked)


@pytest.mark.parametrize("kind", KINDS)
def test_requests_beyond_the_model_are_refused(kind):
    model, x, z = made(kind), items(3), torch.zeros(3, 2)
    known = {m: x[m] for m in GIVEN}
    with pytest.raises(UsageError, match=f"A {kind} models 'x' given 'w' and 'v': .* given 'x'"):
        model.posterior({"x": x["x"]})
    with pytest.raises(UsageError, match="nothing given no modality"):
        model.posterior({})
    with pytest.raises(UsageError, match="but 'v' is not given. Give each of w, v.*--given"):
        model.prior({"w": x["w"]}, 3)
    with pytest.raises(UsageError, match="no decoder for 'w'"):
        model.parameters_of("w", z, known)


def test_a_cvaes_decoder_needs_every_condition():
    with pytest.raises(UsageError, match="'w' and 'v' is not given"):
        made("cvae").parameters_of("x", torch.zeros(3, 2), {})


@pytest.mark.parametrize("kind", KINDS)
def test_a_target_that_is_no_modality_or_stands_alone_is_refused(kind):
    with pytest.raises(ConfigError, match="model.target: 'xx' is no modality.*Did you mean 'x'"):
        made(kind, target="xx")
    model = KINDS[kind]
    with pytest.raises(ConfigError, match="model.target: there is no modality other than 'x'"):
        model(model.Config(target="x"), linear_codecs(x={}))

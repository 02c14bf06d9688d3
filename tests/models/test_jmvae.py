"""JMVAE against closed forms, against losses written by hand, and against itself rearranged."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Mapping
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from linear_gaussian import batch, exact, jmvae, linear_codecs, log_evidence, step_draws
from pydantic import ValidationError
from torch import Tensor
from torch.distributions import Categorical, Independent, Normal
from torch.distributions import kl_divergence as torch_kl
from torch.nn import functional as F
from torch.testing import assert_close
from toys import ClassCodec, ClassConfig, VectorCodec, VectorConfig, toy_registry

from mmvae.data.batches import Batch, Batches
from mmvae.data.source import Split
from mmvae.evaluation.bounds import iw_bound
from mmvae.experiments.config import load_experiment
from mmvae.foundations.errors import ConfigError, UsageError
from mmvae.modalities.codec import Codec
from mmvae.modalities.column import Column
from mmvae.modalities.recipe import HAS_MISSING
from mmvae.modalities.subsets import subset_name
from mmvae.models.experts import product_of_experts
from mmvae.models.jmvae import JMVAE
from mmvae.models.jmvae_config import JMVAEConfig
from mmvae.models.phase import Terms
from mmvae.models.posteriors import DiagonalGaussian, kl_divergence

B = 6
THREE = {"a": {"dim": 3}, "b": {"dim": 2, "sd": 0.5}, "c": {"dim": 4, "sd": 2.0}}


def inputs(codecs: Mapping[str, Codec], b: int = B, seed: int = 1) -> dict[str, Tensor]:
    source = torch.Generator().manual_seed(seed)
    return {m: torch.randn(b, *c.event_shape, generator=source) for m, c in codecs.items()}


def toys() -> tuple[dict[str, Codec], dict[str, Tensor]]:
    """A vector and a class, with their inputs."""
    codecs: dict[str, Codec] = {
        "v": VectorCodec(VectorConfig()),
        "c": ClassCodec(ClassConfig(), {"classes": ["red", "green", "blue"]}),
    }
    return codecs, {"v": torch.randn(B, 3), "c": F.one_hot(torch.arange(B) % 3, 3).float()}


def objective(model: JMVAE, x: Mapping[str, Tensor], step: int = 0, weight: float = 1.0) -> Terms:
    return model.objective(
        "jmvae", batch(x), step_draws(len(x[model.modalities[0]]), step), weight
    )


def normal(q: DiagonalGaussian) -> Independent:
    return Independent(Normal(q.mean, (0.5 * q.log_variance).exp()), 1)


# -- closed forms ---------------------------------------------------------------------------------


@pytest.mark.parametrize("names", ["a", "ab", "abc"])
@pytest.mark.parametrize("k", [1, 2, 7, 64])
def test_the_bound_is_the_evidence_under_the_exact_posterior(names: str, k: int) -> None:
    """Every importance weight is the evidence, whatever the sample."""
    codecs = linear_codecs(**{m: THREE[m] for m in names})
    model = exact(jmvae(codecs, fusion="linear"))
    x = inputs(codecs)
    for size in range(1, len(names) + 1):
        for subset in combinations(model.modalities, size):
            if size > 1 and size < len(names):
                continue  # by a product of experts: below
            bound = iw_bound(model, batch(x), subset, subset, k, step_draws(B))
            assert_close(bound.double(), log_evidence(model, x, subset), rtol=0, atol=2e-4)


def test_the_elbo_is_the_evidence_in_expectation_under_the_exact_posterior() -> None:
    codecs, n = linear_codecs(**THREE), 20_000
    model = exact(jmvae(codecs, fusion="linear"))
    x = {m: one.expand(n, -1) for m, one in inputs(codecs, 1).items()}
    elbo = objective(model, x).named["elbo"].double()
    evidence = log_evidence(model, x, model.modalities)[0]
    assert abs(elbo.mean() - evidence) < 5 * elbo.std() / math.sqrt(n)
    assert elbo.std() > 0.1  # the closed-form KL leaves noise, so the mean says something


def test_a_worse_posterior_gives_a_lower_elbo_by_its_divergence() -> None:
    """log p(x) − ELBO = KL(q ‖ exact posterior)."""
    codecs, n = linear_codecs(a={"dim": 3}, b={"dim": 2}), 20_000
    model = exact(jmvae(codecs, fusion="linear"))
    x = {m: one.expand(n, -1) for m, one in inputs(codecs, 1).items()}
    truth = model.posterior(x)
    with torch.no_grad():
        model.encoders.joint_posterior.heads.bias.add_(0.5)
    gap = kl_divergence(model.posterior(x), truth)[0]
    elbo = objective(model, x).named["elbo"]
    expected = log_evidence(model, x, model.modalities)[0] - gap
    assert gap > 0.2
    assert abs(elbo.mean() - expected) < 5 * elbo.std() / math.sqrt(n)


def test_an_untrained_subset_is_a_product_of_experts_and_here_exact() -> None:
    codecs = linear_codecs(**THREE)
    model = exact(jmvae(codecs, fusion="linear"))
    x = inputs(codecs)
    for pair in combinations(model.modalities, 2):
        given = {m: x[m] for m in pair}
        experts = [model.posterior({m: x[m]}) for m in pair]
        q, product = model.posterior(given), product_of_experts(experts)
        assert torch.equal(q.mean, product.mean)
        assert torch.equal(q.log_variance, product.log_variance)
        bound = iw_bound(model, batch(x), pair, pair, 3, step_draws(B))
        assert_close(bound.double(), log_evidence(model, x, pair), rtol=0, atol=2e-4)


def test_the_penalty_of_exact_posteriors_is_what_the_other_modalities_tell() -> None:
    """E over p(x_b|x_a) of KL(q(z|x_a,x_b) ‖ q(z|x_a)) is a mutual information: not zero."""
    codecs = linear_codecs(a={"dim": 3}, b={"dim": 2})
    model = exact(jmvae(codecs, fusion="linear"))
    x = inputs(codecs)
    penalty = objective(model, x).named["subset_kl/a"]
    assert_close(
        penalty, torch_kl(normal(model.posterior(x)), normal(model.posterior({"a": x["a"]})))
    )
    assert (penalty > 0).all()


# -- losses by hand -------------------------------------------------------------------------------


def test_one_modality_is_a_vae() -> None:
    codecs, x = toys()
    model = jmvae({"v": codecs["v"]})
    noise = step_draws(B).normal("z", 2)
    network = model.encoders.joint_posterior
    raw = network.heads(torch.relu(network.fusion[0](network.trunks["v"](x["v"]))))
    mean, log_variance = raw[:, :2], raw[:, 2:]
    z = mean + (log_variance / 2).exp() * noise
    error = (x["v"] - model.decoders["v"](z)).square().sum(1)
    reconstruction = -0.5 * error - 1.5 * math.log(2 * math.pi)
    kl = 0.5 * (log_variance.exp() + mean**2 - 1 - log_variance).sum(1)
    terms = objective(model, {"v": x["v"]})
    assert_close(terms.loss, kl - reconstruction, rtol=1e-6, atol=1e-6)
    assert_close(terms.named["elbo"], reconstruction - kl, rtol=1e-6, atol=1e-6)
    assert "penalty" not in terms.named
    assert model.subsets == []


@pytest.mark.parametrize("alpha", [0.01, 0.1, 1.0])
@pytest.mark.parametrize("beta", [0.0, 0.3, 1.0])
def test_two_modalities_with_singletons_are_equation_4(alpha: float, beta: float) -> None:
    codecs, x = toys()
    model = jmvae(codecs, alpha=alpha)
    noise = step_draws(B).normal("z", 2)

    def q(network: Any) -> Independent:
        features = torch.cat([network.trunks[m](x[m]) for m in network.trunks], 1)
        raw = network.heads(torch.relu(network.fusion[0](features)))
        return Independent(Normal(raw[:, :2], (raw[:, 2:] / 2).exp()), 1)

    joint = q(model.encoders.joint_posterior)
    by_v, by_c = (q(network) for network in model.encoders.subset_posteriors)
    z = joint.base_dist.loc + joint.base_dist.scale * noise
    log_v = Normal(model.decoders["v"](z), 1.0).log_prob(x["v"]).sum(1)
    log_c = Categorical(logits=model.decoders["c"](z)).log_prob(x["c"].argmax(1))
    prior = Independent(Normal(torch.zeros(B, 2), 1.0), 1)
    kl = torch_kl(joint, prior)
    penalty = torch_kl(joint, by_v) + torch_kl(joint, by_c)
    terms = objective(model, x, weight=beta)
    by_hand = -(log_v + log_c) + beta * kl + alpha * penalty
    assert_close(terms.loss, by_hand, rtol=1e-6, atol=1e-6)
    assert_close(terms.named["elbo"], log_v + log_c - kl, rtol=1e-6, atol=1e-6)
    assert_close(terms.named["penalty"], alpha * penalty, rtol=1e-5, atol=1e-6)


def test_alpha_zero_is_the_plain_bound() -> None:
    codecs, x = toys()
    model = jmvae(codecs, alpha=0)
    terms = objective(model, x)
    assert torch.equal(terms.loss, -terms.named["elbo"])
    assert model.subsets == []
    assert not any(name.startswith("penalty") for name in terms.named)


def test_loss_and_elbo_differ_by_the_penalty_alone() -> None:
    codecs, x = toys()
    terms = objective(jmvae(codecs, alpha=0.7), x)
    penalties = terms.named["subset_kl/v"] + terms.named["subset_kl/c"]
    assert_close(terms.loss, -terms.named["elbo"] + 0.7 * penalties)


def test_the_penalty_is_a_monte_carlo_mean_within_its_error() -> None:
    codecs = linear_codecs(**THREE)
    model, x = jmvae(codecs, subsets="all"), inputs(codecs)
    terms, k = objective(model, x), 50_000
    joint = model.posterior(x)
    z = joint.rsample(torch.randn(k, B, 2))
    for subset in model.subsets:
        ratio = joint.log_prob(z) - model.posterior({m: x[m] for m in subset}).log_prob(z)
        gap = (ratio.mean(0) - terms.named[f"subset_kl/{subset_name(subset)}"]).abs()
        assert (gap < 5 * ratio.std(0) / math.sqrt(k)).all()


def test_the_penalty_is_zero_where_all_posteriors_agree() -> None:
    codecs = linear_codecs(**THREE)
    model, x = jmvae(codecs, fusion="linear"), inputs(codecs)
    with torch.no_grad():
        for network in (model.encoders.joint_posterior, *model.encoders.subset_posteriors):
            network.heads.weight.zero_()
            network.heads.bias.fill_(0.3)
    assert torch.equal(objective(model, x).named["penalty"], torch.zeros(B))


# -- order of modalities --------------------------------------------------------------------------


def permuted(model: JMVAE, names: str) -> JMVAE:
    """The same model with its modalities named in another order and the weights carried over."""
    other = JMVAE(model.config, {m: model.codecs[m] for m in names})
    other.decoders.load_state_dict(model.decoders.state_dict())
    copy_network(model.encoders.joint_posterior, other.encoders.joint_posterior, model)
    for subset, network in zip(model.subsets, model.encoders.subset_posteriors, strict=True):
        index = [set(s) for s in other.subsets].index(set(subset))
        copy_network(network, other.encoders.subset_posteriors[index], model)
    return other


def copy_network(old: Any, new: Any, model: JMVAE) -> None:
    new.trunks.load_state_dict(old.trunks.state_dict())
    blocks = dict(
        zip(
            old.trunks,
            old.fusion[0].weight.split([model.codecs[m].feature_dim for m in old.trunks], 1),
            strict=True,
        )
    )
    with torch.no_grad():
        new.fusion[0].weight.copy_(torch.cat([blocks[m] for m in new.trunks], 1))
        new.fusion[0].bias.copy_(old.fusion[0].bias)
    new.heads.load_state_dict(old.heads.state_dict())


@pytest.mark.parametrize("names", ["acb", "bac", "bca", "cab", "cba"])
@pytest.mark.parametrize("family", ["singletons", "leave-one-out", "all"])
def test_order_of_modalities_changes_nothing(names: str, family: str) -> None:
    codecs = linear_codecs(**THREE)
    x = inputs(codecs)
    model = jmvae(codecs, subsets=family, trunks="separate")
    other = permuted(model, names)
    one, two = objective(model, x), objective(other, x)
    assert_close(one.loss, two.loss)
    for term, value in one.named.items():
        head, _, tail = term.partition("/")
        ordered = "+".join(m for m in names if m in tail.split("+"))
        assert_close(value, two.named[f"{head}/{ordered}" if tail else head])
    bounds = [
        iw_bound(m, batch(x), tuple("abc"), tuple("abc"), 5, step_draws(B)) for m in (model, other)
    ]
    assert_close(*bounds)


def test_the_order_of_a_batch_or_a_question_changes_nothing() -> None:
    codecs = linear_codecs(**THREE)
    model, x = jmvae(codecs, subsets="all"), inputs(codecs)
    backwards = dict(reversed(x.items()))
    assert torch.equal(objective(model, x).loss, objective(model, backwards).loss)
    one, two = model.posterior(x), model.posterior(backwards)
    assert torch.equal(one.mean, two.mean)
    one = model.posterior({"a": x["a"], "c": x["c"]})
    two = model.posterior({"c": x["c"], "a": x["a"]})
    assert torch.equal(one.mean, two.mean)


# -- weights --------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", ["singletons", "all", "leave-one-out"])
@pytest.mark.parametrize("names", ["ab", "abc"])
def test_the_total_weight_does_not_grow_with_the_family(family: str, names: str) -> None:
    model = jmvae(linear_codecs(**{m: THREE[m] for m in names}), subsets=family, alpha=0.3)
    assert sum(model.penalty.alphas) == pytest.approx(2 * 0.3)
    assert model.penalty.alphas == pytest.approx([0.6 / len(model.subsets)] * len(model.subsets))


def test_a_subset_may_have_a_weight_of_its_own() -> None:
    codecs = linear_codecs(**THREE)
    model = jmvae(codecs, alpha=0.3, subset_alpha={"b": 5.0})
    assert model.penalty.alphas == pytest.approx([0.2, 5.0, 0.2])
    terms = objective(model, inputs(codecs))
    weighted = sum(
        alpha * terms.named[f"subset_kl/{m}"]
        for m, alpha in zip("abc", model.penalty.alphas, strict=True)
    )
    assert_close(terms.loss, weighted - terms.named["elbo"])


def test_drawn_subsets_leave_the_penalty_unbiased() -> None:
    """The mean over all equally likely draws is the full sum."""
    codecs = linear_codecs(**THREE)
    x = inputs(codecs)
    family = {"subsets": "all", "alpha": 0.8, "subset_alpha": {"a+b": 3.0}}
    full, drawing = jmvae(codecs, **family), jmvae(codecs, subsets_per_step=2, **family)
    by_draw: dict[tuple[int, ...], Tensor] = {}
    for step in range(400):
        drawn = tuple(drawing.penalty.draw(step_draws(B, step), drawing.training))
        if drawn not in by_draw:
            terms = objective(drawing, x, step)
            by_draw[drawn] = terms.loss + terms.named["elbo"]
    assert set(by_draw) == set(combinations(range(6), 2))
    terms = objective(full, x)
    assert_close(torch.stack(list(by_draw.values())).mean(0), terms.loss + terms.named["elbo"])


def test_every_step_draws_anew_and_evaluation_takes_all() -> None:
    model = jmvae(linear_codecs(**THREE), subsets="all", subsets_per_step=2)
    assert (
        len({tuple(model.penalty.draw(step_draws(B, step), model.training)) for step in range(20)})
        > 3
    )
    model.eval()
    assert model.penalty.draw(step_draws(B), model.training) == list(range(6))


def test_penalty_gradient_subsets_spares_the_joint_posterior() -> None:
    codecs = linear_codecs(**THREE)
    x = inputs(codecs)
    grads = {}
    for which in ("both", "subsets"):
        model = jmvae(codecs, penalty_gradient=which)
        objective(model, x).named["penalty"].sum().backward()
        joint = model.encoders.joint_posterior.heads.weight.grad
        grads[which] = model.encoders.subset_posteriors[0].heads.weight.grad
        assert (joint is None or not joint.any()) == (which == "subsets")
        assert grads[which].any()
    assert_close(grads["both"], grads["subsets"])


@pytest.mark.parametrize(("warmup", "gamma"), [("prior", 1.0), ("all", 0.25)])
def test_what_warms_up(warmup: str, gamma: float) -> None:
    codecs, x = toys()
    model = jmvae(codecs, alpha=1, warmup=warmup)
    terms = objective(model, x, weight=0.25)
    named = terms.named
    by_hand = 0.25 * named["kl"] - named["log_likelihood/v"] - named["log_likelihood/c"]
    assert_close(terms.loss, by_hand + gamma * (named["subset_kl/v"] + named["subset_kl/c"]))
    assert_close(named["elbo"], objective(model, x).named["elbo"])  # no weight enters an elbo


def test_likelihood_weights_by_hand_and_by_dimensions() -> None:
    codecs = linear_codecs(a={"dim": 3, "weight": 2.0}, b={"dim": 6}, c={"dim": 1})
    x = inputs(codecs)
    assert jmvae(codecs).likelihood_weights == {"a": 2.0, "b": 1.0, "c": 1.0}
    model = jmvae(codecs, alpha=0, rescale="dimensions")
    assert model.likelihood_weights == {"a": 4.0, "b": 1.0, "c": 6.0}
    terms = objective(model, x)
    likelihoods = [terms.named[f"log_likelihood/{m}"] for m in "abc"]
    weighted = 4 * likelihoods[0] + likelihoods[1] + 6 * likelihoods[2]
    assert_close(terms.loss, terms.named["kl"] - weighted)
    assert_close(terms.named["elbo"], sum(likelihoods) - terms.named["kl"])


# -- posteriors -----------------------------------------------------------------------------------


def test_missing_zero_is_the_joint_posterior_at_the_codecs_stand_in() -> None:
    codecs = linear_codecs(a={"stand_in": 0.5}, b={"dim": 2, "stand_in": -1.0})
    model, x = jmvae(codecs, missing="zero"), inputs(codecs)
    q = model.posterior({"b": x["b"]})
    joint = model.posterior({"a": torch.full((B, 3), 0.5), "b": x["b"]})
    assert torch.equal(q.mean, joint.mean)
    assert torch.equal(q.log_variance, joint.log_variance)
    assert not torch.equal(q.mean, model.posterior(x).mean)
    assert model.subsets == []
    assert model.supports(("a",), (), ("b",)) is None


def test_without_penalty_there_is_no_subset_posterior_to_ask() -> None:
    codecs = linear_codecs(**THREE)
    model, x = jmvae(codecs, alpha=0), inputs(codecs)
    with pytest.raises(UsageError, match=r"model.alpha = 0.*'a'.*a, b, c.*missing = 'zero'"):
        model.posterior({"a": x["a"]})
    assert model.posterior(x).mean.shape == (B, 2)
    assert "'a'" in str(model.supports(("a",), (), ("a",)))
    assert model.supports(("a",), (), ("a", "b", "c")) is None


def test_a_subset_that_cannot_be_put_together_is_an_error_that_names_the_trained() -> None:
    codecs = linear_codecs(**THREE)
    model, x = jmvae(codecs, subsets=["a", "b+c"]), inputs(codecs)
    with pytest.raises(UsageError, match=r"'b'.*\(a, b\+c\)"):
        model.posterior({"b": x["b"]})
    assert "'b'" in str(model.supports(("a",), (), ("b",)))
    assert model.posterior({"b": x["b"], "c": x["c"]}).mean.shape == (B, 2)


def test_nothing_or_something_unknown_observed_is_an_error() -> None:
    codecs = linear_codecs(**THREE)
    model, x = jmvae(codecs), inputs(codecs)
    with pytest.raises(UsageError, match="at least one modality"):
        model.posterior({})
    with pytest.raises(UsageError, match="Unknown modality 'z'"):
        model.posterior({"z": x["a"]})


def test_targets_and_given_must_not_overlap() -> None:
    model = jmvae(linear_codecs(**THREE))
    assert "overlap" in str(model.supports(("a", "b"), ("b",), ("a", "b", "c")))
    assert model.supports(("a",), ("b",), ("a", "b", "c")) is None


def test_the_prior_is_standard_normal_whatever_is_given() -> None:
    codecs = linear_codecs(**THREE)
    prior = jmvae(codecs).prior(inputs(codecs), 4)
    assert torch.equal(prior.mean, torch.zeros(4, 2))
    assert torch.equal(prior.log_variance, torch.zeros(4, 2))


# -- configuration --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "keys",
    [
        {"alpha": -0.1},
        {"alpha": math.inf},
        {"alpha": math.nan},
        {"latent_dim": 0},
        {"subsets": "pairs"},
        {"subsets_per_step": 0},
        {"alfa": 1},
    ],
)
def test_a_bad_key_is_refused_by_the_schema(keys: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=next(iter(keys))):
        JMVAEConfig(**keys)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"subset_alpha": {"d": 1.0}}, r"subset_alpha: d = 1.0.*a, b, c"),
        ({"subset_alpha": {"a": 0.0}}, r"subset_alpha: a = 0.0.*finite weight > 0"),
        ({"subset_alpha": {"a": -1.0}}, r"subset_alpha: a = -1.0.*> 0"),
        ({"subset_alpha": {"a": math.nan}}, r"subset_alpha: a = nan"),
        ({"subset_alpha": {"a": math.inf}}, r"subset_alpha: a = inf"),
        ({"subsets": ["a+b+c"]}, r"'a\+b\+c'.*proper"),
        ({"subsets": ["a", "a"]}, r"entry 'a'"),
        ({"subsets": [""]}, r"entry ''"),
        ({"subsets": ["a+z"]}, r"Unknown modality 'z'"),
        ({"subsets": ["a+b+c"], "alpha": 0}, r"proper"),
    ],
)
def test_a_section_that_does_not_fit_the_modalities_is_named(
    keys: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        jmvae(linear_codecs(**THREE), **keys)


@pytest.mark.parametrize("without", [{"missing": "zero"}, {"alpha": 0}])
@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("subsets_per_step", 1),
        ("subset_alpha", {"a": 1.0}),
        ("penalty_gradient", "subsets"),
        ("subsets", "all"),
        ("alpha_by", "size"),
        ("teachers", ["a"]),
        ("trunks", "joint-apart"),
    ],
)
def test_keys_of_the_penalty_are_refused_without_one(
    without: dict[str, Any], key: str, value: Any
) -> None:
    keys = without | {key: value}
    if "alpha" in without and key not in ("subsets_per_step", "subset_alpha"):
        JMVAEConfig(**keys)  # a sweep over α may go down to 0
        return
    reason = next(iter(without))
    with pytest.raises(ValidationError, match=rf"{key} = .*has no effect with {reason}"):
        JMVAEConfig(**keys)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ('subsets = ["vv"]', r"e.toml:11: model.subsets = .*entry 'vv': Unknown modality 'vv'"),
        ('subsets = ["v+c"]', r"e.toml:11: model.subsets = .*entry 'v\+c': expected a proper"),
        ("subset_alpha = {vv = 1.0}", r"e.toml:11: model.subset_alpha.*vv = 1.0.*one of v, c"),
        ("subset_alpha = {v = -1.0}", r"e.toml:11: model.subset_alpha.*v = -1.0.*weight > 0"),
        ('missing = "zero"\nsubsets_per_step = 1', r"e.toml.*subsets_per_step = 1 has no effect"),
    ],
)
def test_a_file_with_wrong_subsets_is_refused_by_its_line(
    tmp_path: Path, model: str, message: str
) -> None:
    file = tmp_path / "e.toml"
    file.write_text(
        '[data]\nsource = "toy"\n\n[modalities.v]\ncodec = "toy-vector"\n\n'
        f'[modalities.c]\ncodec = "toy-class"\n\n[model]\n{model}\n'
    )
    with pytest.raises(ConfigError, match=message):
        load_experiment(file, registry=toy_registry())


@pytest.mark.parametrize("by", ["subset", "size"])
@pytest.mark.parametrize("subsets", ["singletons", "all", "leave-one-out", ["a", "b", "a+b"]])
def test_twice_alpha_is_shared_out_among_subsets_or_their_sizes(by: str, subsets) -> None:
    codecs = linear_codecs(**THREE, d={"dim": 2})
    model = jmvae(codecs, subsets=subsets, alpha=0.7, alpha_by=by)
    assert sum(model.penalty.alphas) == pytest.approx(1.4)
    of_size: dict[int, list[float]] = {}
    for subset, alpha in zip(model.subsets, model.penalty.alphas, strict=True):
        of_size.setdefault(len(subset), []).append(alpha)
    alike = [sum(a) for a in of_size.values()] if by == "size" else model.penalty.alphas
    assert max(alike) == pytest.approx(min(alike))
    assert all(len(set(a)) == 1 for a in of_size.values())


def test_a_penalty_over_no_subset_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"model.subsets = \[\]"):
        jmvae(linear_codecs(**THREE), subsets=[])


# -- training -------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", ["singletons", "all", "leave-one-out"])
@pytest.mark.parametrize("trunks", ["separate", "joint-apart", "shared"])
def test_every_parameter_is_trained(family: str, trunks: str) -> None:
    codecs = linear_codecs(**THREE, d={"dim": 2})
    model = jmvae(codecs, subsets=family, trunks=trunks)
    objective(model, inputs(codecs)).loss.sum().backward()
    untouched = [n for n, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    assert untouched == []
    (phase,) = model.phases()
    assert {id(p) for p in phase.parameters} == {id(p) for p in model.parameters()}


def test_families_other_than_singletons_share_trunks() -> None:
    codecs = linear_codecs(**THREE)
    kinds = {
        family: type(jmvae(codecs, subsets=family).encoders).__name__
        for family in ("singletons", "leave-one-out", "all")
    }
    assert kinds == {
        "singletons": "SeparateEncoders",
        "leave-one-out": "SharedEncoders",
        "all": "SharedEncoders",
    }


@pytest.mark.parametrize("trunks", ["separate", "joint-apart", "shared"])
def test_kl_and_likelihoods_are_float32_under_bfloat16(trunks: str) -> None:
    codecs, x = toys()
    model = jmvae(codecs, trunks=trunks, alpha=1)
    exactly = objective(model, x)
    with torch.autocast("cpu", torch.bfloat16):
        terms = objective(model, x)
        assert model.decoders["v"](torch.randn(2, 2)).dtype == torch.bfloat16  # autocast is on
    assert {value.dtype for value in terms.named.values()} == {torch.float32}
    assert terms.loss.dtype == torch.float32
    assert_close(terms.loss, exactly.loss, rtol=0.05, atol=0.05)
    # the sums over terms and subsets are float32 too, so the loss is its terms to float32
    named = terms.named
    assert_close(
        terms.loss,
        named["subset_kl/v"] + named["subset_kl/c"] - named["elbo"],
        rtol=1e-6,
        atol=1e-6,
    )


def test_cells_that_are_not_observed_change_nothing_in_the_likelihood() -> None:
    codecs, x = toys()
    model, draws = jmvae(codecs, alpha=0), step_draws(B)
    observed = torch.rand(B, 3) > 0.5
    masked = Batch(x, {"v": observed, "c": None})
    terms = model.objective("jmvae", masked, draws, 1.0).named
    z = model.posterior(x).rsample(draws.normal("z", 2))
    cells = Normal(model.decoders["v"](z), 1.0).log_prob(x["v"])
    assert_close(terms["log_likelihood/v"], torch.where(observed, cells, 0.0).sum(1))


@pytest.mark.parametrize("trunks", ["separate", "joint-apart", "shared"])
def test_modalities_may_be_called_as_attributes_of_torchs_modules(trunks: str) -> None:
    names = ("values", "type", "items", "train", "keys", "forward", "parameters", "training")
    codecs = linear_codecs(**{name: {"dim": 2} for name in names})
    model, x = jmvae(codecs, trunks=trunks), inputs(codecs)
    objective(model, x).loss.sum().backward()
    assert all(p.grad is not None for p in model.parameters())
    assert {f"decoders.{name}.weight" for name in names} <= set(model.state_dict())
    other = jmvae(codecs, seed=1, trunks=trunks)
    other.load_state_dict(model.state_dict())
    assert torch.equal(objective(other.eval(), x).loss, objective(model.eval(), x).loss)


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 99), st.sampled_from(["separate", "joint-apart", "shared"]))
def test_nan_in_unobserved_cells_changes_no_loss_and_no_gradient(seed: int, trunks: str) -> None:
    """Through batches, so that encoders are covered too."""
    rng = np.random.default_rng(seed)
    values, hidden = rng.normal(size=(2, B, 3)), rng.random((2, B, 3)) < 0.3
    codecs: dict[str, Codec] = {m: VectorCodec(VectorConfig(gaps=True)) for m in "vw"}
    results = []
    for imputation in (np.nan, None):
        model = jmvae(codecs, trunks=trunks)
        columns = {}
        for m, value, gone in zip("vw", values, hidden, strict=True):
            columns[m] = Column(np.where(gone, np.nan, value))
        batches = Batches(Split(columns, np.arange(B)), codecs, {m: m for m in "vw"})
        if imputation is None:  # whatever else is stored there
            for m, gone in zip("vw", hidden, strict=True):
                batches._kept[m][0][torch.from_numpy(gone)] = 7.0
        terms = model.objective("jmvae", batches.fixed(slice(0, B)), step_draws(B), 1.0)
        terms.loss.sum().backward()
        results.append((terms.loss.detach(), [p.grad for p in model.parameters()]))
    (loss, gradients), (other_loss, other_gradients) = results
    assert torch.isfinite(loss).all()
    assert torch.equal(loss, other_loss)
    assert all(torch.equal(a, b) for a, b in zip(gradients, other_gradients, strict=True))


# -- the cost of many modalities ------------------------------------------------------------------


class Counted(str):
    """A name that counts how often names are hashed or compared: the work of every look-up."""

    work, most = 0, 0

    def __hash__(self) -> int:
        Counted.work += 1
        return super().__hash__()

    def __eq__(self, other: object) -> bool:
        Counted.work += 1
        assert Counted.work < Counted.most, "more look-ups than expected"
        return super().__eq__(other)


def work_of_a_training(n: int, most: int, gaps: bool = False, **keys: Any) -> int:
    """Look-ups of names, up to ``most``, while n modalities are trained, resumed and asked for."""
    codecs = linear_codecs(**{f"m{i}": {"dim": 1} for i in range(n)})
    for codec in codecs.values():
        codec.state = {HAS_MISSING: True} if gaps else {}
    named: dict[str, Codec] = {Counted(m): codec for m, codec in codecs.items()}
    Counted.work, Counted.most = 0, most
    made, again = jmvae(named, **keys), jmvae(named, seed=1, **keys)
    if gaps:
        has = (np.random.default_rng(0).random((50, n)) < 0.5).tolist()
        names = made.modalities
        made.learn_patterns(Counter(tuple(itertools.compress(names, row)) for row in has))
        assert made.remarks()
    x = inputs(made.codecs, 2)
    for step in range(2):
        objective(made, x, step).loss.mean().backward()
    again.load_state_dict(made.state_dict())
    for left in (1, 2, n // 2):
        for start in range(0, n, 7):
            given = {m: x[m] for k, m in enumerate(x) if (k - start) % n >= left}
            assert torch.equal(made.posterior(given).mean, again.posterior(given).mean)
    return Counted.work


@pytest.mark.parametrize("gaps", [False, True])
def test_all_subsets_take_work_in_proportion_to_their_number(gaps: bool) -> None:
    """Not to its square: eleven modalities have 2,046 subsets, eight have 254."""
    few = work_of_a_training(8, 300_000, gaps, subsets="all")
    most = 3 * 2046 // 254 * few
    assert few < work_of_a_training(11, most, gaps, subsets="all") < most


@pytest.mark.parametrize("n", [16, 24, 40])
@pytest.mark.parametrize("subsets", ["singletons", "pairs and singletons"])
def test_families_of_few_take_little_work_with_many_modalities(n: int, subsets: str) -> None:
    if subsets != "singletons":
        subsets = [f"m{i}" for i in range(n)] + [f"m{i}+m{i + 1}" for i in range(n - 1)]
    assert work_of_a_training(n, 100 * n**3, subsets=subsets) < 100 * n**3


def test_all_subsets_of_very_many_are_refused_by_the_config() -> None:
    names = {"modalities": [f"m{i}" for i in range(24)]}
    with pytest.raises(ValidationError, match=r"24 modalities have 2\^24 − 2 = 16,777,214"):
        JMVAEConfig.model_validate({"subsets": "all"}, context=names)


@pytest.mark.parametrize("keys", [{"trunks": "separate"}, {"heads": "own"}])
def test_very_many_networks_are_refused_by_the_config(keys: dict[str, str]) -> None:
    names = {"modalities": [f"m{i}" for i in range(13)]}
    with pytest.raises(ValidationError, match="each of 8,190 subsets .* at most 4,096"):
        JMVAEConfig.model_validate({"subsets": "all"} | keys, context=names)
    JMVAEConfig.model_validate({"subsets": "singletons"} | keys, context=names)

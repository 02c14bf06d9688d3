"""Items with gaps: the loss by hand (T13), what is absent has no part, every weight is trained."""

from __future__ import annotations

from itertools import combinations, compress

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from linear_gaussian import LinearCodec, jmvae, linear_codecs, step_draws
from torch import Tensor
from torch.distributions import Independent, LogNormal
from torch.testing import assert_close

from mmvae.data.batches import Batch, with_fill_values
from mmvae.foundations.errors import ConfigError, UsageError
from mmvae.modalities.codec import Codec
from mmvae.modalities.recipe import HAS_MISSING
from mmvae.modalities.subsets import family
from mmvae.models.informed_subsets import Informed
from mmvae.models.jmvae import JMVAE
from mmvae.models.phase import Terms
from mmvae.models.posteriors import DiagonalGaussian, kl_divergence

B = 12
DIMS = {"a": {"dim": 3}, "b": {"dim": 2, "sd": 0.5}, "c": {"dim": 4, "stand_in": 0.3}}
NAMES = tuple(DIMS)


def codecs(gaps: str = "abc", **dims) -> dict[str, Codec]:
    found = linear_codecs(**(dims or DIMS))
    for m in gaps:
        found[m].state = {HAS_MISSING: True}
    return found


def model(**keys) -> JMVAE:
    made = jmvae(codecs(), **keys)
    made.learn_patterns({NAMES: 1})
    return made


def presence(seed: int = 0) -> dict[str, Tensor]:
    """Every non-empty pattern, and some again."""
    patterns = [s for k in (1, 2, 3) for s in combinations(NAMES, k)]
    order = torch.randperm(B, generator=torch.Generator().manual_seed(seed)) % len(patterns)
    return {m: torch.tensor([m in patterns[i] for i in order]) for m in NAMES}


def gappy(made: JMVAE, fill: float | None = None, present: dict[str, Tensor] | None = None):
    """Items with gaps, in which stand the codecs' stand-ins or something else."""
    source, has = torch.Generator().manual_seed(1), presence() if present is None else present
    x = {}
    for m, codec in made.codecs.items():
        values = torch.randn(B, *codec.event_shape, generator=source)
        x[m] = with_fill_values(codec, values, has[m])
        if fill is not None:
            x[m][~has[m]] = fill
    return Batch(x, dict.fromkeys(x), has)


def objective(made: JMVAE, batch: Batch, step: int = 0) -> Terms:
    return made.objective("jmvae", batch, step_draws(B, step), 1.0)


def by_hand(made: JMVAE, batch: Batch, alpha: float) -> Tensor:
    """The loss of each item alone: T4 with what it has in place of all modalities."""
    losses = []
    noise = step_draws(B).normal("z", 2)
    for i in range(B):
        has = tuple(m for m in NAMES if batch.present[m][i])
        x = {m: batch.x[m][i : i + 1] for m in has}
        blank = {m: torch.zeros(1, *made.codecs[m].event_shape) for m in NAMES}
        mask = {m: torch.tensor([m in has]) for m in NAMES}
        q = made.encoders.joint(blank | x, mask)
        z = q.rsample(noise[i : i + 1])
        nats = sum(made.log_likelihood(m, z, x[m]) for m in has)
        kl = kl_divergence(q, DiagonalGaussian.standard(q.mean))
        informed = [s for s in made.subsets if set(s) < set(has)]
        penalty = sum(
            kl_divergence(q, made.encoders.subset(x, made.subsets.index(s))) for s in informed
        )
        losses.append(kl - nats + 2 * alpha / len(made.subsets) * penalty)
    return torch.cat(losses)


@pytest.mark.parametrize("trunks", ["separate", "joint-apart", "shared"])
@pytest.mark.parametrize("subsets", ["singletons", "all", ["a", "a+b"]])
def test_each_item_has_the_loss_of_what_it_has(trunks: str, subsets) -> None:
    made = model(subsets=subsets, trunks=trunks, alpha=0.7)
    batch = gappy(made)
    assert_close(objective(made, batch).loss, by_hand(made, batch, 0.7), rtol=1e-5, atol=1e-5)


def test_the_terms_add_up_over_what_items_have() -> None:
    made = model(subsets="all")
    named = objective(made, gappy(made)).named
    total = sum(named[f"log_likelihood/{m}"] for m in NAMES)
    assert_close(named["elbo"], total - named["kl"])
    for m, has in presence().items():
        assert torch.equal(named[f"log_likelihood/{m}"] != 0, has)
    both = presence()["a"] & presence()["b"]
    assert torch.equal(named["subset_kl/a+b"] != 0, both & presence()["c"])


@settings(max_examples=20, deadline=None)
@given(
    st.sampled_from([-1e6, -1.0, 0.0, 1e6]),
    st.integers(0, 9),
    st.sampled_from(["separate", "joint-apart", "shared"]),
)
def test_what_stands_in_a_gap_changes_no_loss_and_no_gradient(
    fill: float, seed: int, trunks: str
) -> None:
    made, has, found = model(subsets="all", trunks=trunks), presence(seed), []
    for batch in (gappy(made, present=has), gappy(made, fill, has)):
        made.zero_grad()
        terms = objective(made, batch)
        terms.loss.mean().backward()
        found.append((terms, {name: p.grad for name, p in made.named_parameters()}))
    (one, grads), (two, others) = found
    assert torch.equal(one.loss, two.loss)
    for name, value in one.named.items():
        assert torch.equal(value, two.named[name]), name
    for name, grad in grads.items():
        assert torch.equal(grad, others[name]), name


class Positive(LinearCodec):
    """Its density is no number at the stand-in, 0, and neither is its slope."""

    def likelihood(self, parameters: Tensor) -> Independent:
        return Independent(LogNormal(parameters, 1.0, validate_args=False), 1)


def test_a_stand_in_outside_the_support_leaves_loss_and_gradients_finite() -> None:
    kinds = codecs()
    kinds["a"] = Positive(kinds["a"].config, {HAS_MISSING: True})
    made = jmvae(kinds)
    batch = gappy(made)
    here = batch.present["a"]
    batch.x["a"][here] = batch.x["a"][here].abs() + 0.1
    assert (
        not Positive(kinds["a"].config)
        .likelihood(torch.zeros(1, 3))
        .log_prob(torch.zeros(1, 3))
        .isfinite()
    )
    loss = objective(made, batch).loss
    assert loss.isfinite().all()
    loss.mean().backward()
    assert all(p.grad.isfinite().all() for p in made.parameters())


@pytest.mark.parametrize("trunks", ["separate", "joint-apart", "shared"])
def test_a_modality_that_no_item_of_a_batch_has_still_touches_every_weight(trunks: str) -> None:
    """Else processes would wait for each other's gradients."""
    made = model(subsets="all", trunks=trunks)
    has = {"a": torch.ones(B, dtype=torch.bool), "b": torch.arange(B) % 2 == 0}
    batch = gappy(made, present={**has, "c": torch.zeros(B, dtype=torch.bool)})
    objective(made, batch).loss.mean().backward()
    assert all(p.grad is not None for p in made.parameters())
    assert not any(p.grad.any() for p in made.decoders["c"].parameters())
    assert all(p.grad.any() for p in made.decoders["a"].parameters())


def test_complete_items_have_the_joint_posterior_of_all() -> None:
    made = model(subsets="all")
    batch = gappy(made)
    whole = batch.having(NAMES)
    q, joint = made.joint_posterior(batch), made.posterior(batch.x)
    assert whole.any()
    assert torch.equal(q.mean[whole], joint.mean[whole])
    assert not torch.equal(q.mean, joint.mean)


def test_the_joint_posterior_sees_what_is_absent_and_not_what_it_would_be() -> None:
    made = model()
    has = {m: torch.ones(B, dtype=torch.bool) for m in NAMES}
    one = made.joint_posterior(gappy(made, 0.0, has | {"a": torch.zeros(B, dtype=torch.bool)}))
    zero = {m: torch.zeros(B, *c.event_shape) for m, c in made.codecs.items()}
    rest = {m: gappy(made, present=has).x[m] for m in "bc"}
    there = made.joint_posterior(Batch(zero | rest, dict.fromkeys(zero), has))
    assert not torch.allclose(one.mean, there.mean)


# -- weights --------------------------------------------------------------------------------------


@pytest.mark.parametrize("spec", ["singletons", "all", "leave-one-out", ["a", "b", "a+b"]])
def test_an_item_counts_in_full_for_each_subset_that_it_informs(spec) -> None:
    subsets, has = family(spec, NAMES), presence()
    alphas = [0.1 * (k + 1) for k in range(len(subsets))]
    weights = Informed(subsets, NAMES).weights(alphas, range(len(subsets)), has)
    for i in range(B):
        here = {m for m in NAMES if has[m][i]}
        told = [a if set(s) < here else 0.0 for a, s in zip(alphas, subsets, strict=True)]
        assert weights[:, i].tolist() == pytest.approx(told)


def test_items_without_the_teachers_train_all_but_subset_posteriors() -> None:
    taught, plain = (model(subsets="all", alpha=0.7, teachers=t) for t in (["b"], []))
    batch = gappy(plain)
    with_b, loss = batch.present["b"], by_hand(plain, batch, 0.7)
    assert with_b.any()
    assert not with_b.all()
    found = objective(taught, batch)
    assert_close(found.loss[with_b], loss[with_b], rtol=1e-5, atol=1e-5)
    assert_close(found.loss[~with_b], by_hand(plain, batch, 0)[~with_b], rtol=1e-5, atol=1e-5)
    assert not found.named["penalty"][~with_b].any()
    with pytest.raises(ConfigError, match=r"model\.teachers: Unknown modality 'd'"):
        model(teachers=["d"])
    with pytest.raises(ConfigError, match=r"one more modality, among them b \(model\.teachers\)"):
        taught.learn_patterns({("a", "c"): 9})


@pytest.mark.parametrize("by", ["subset", "size"])
def test_what_no_item_informs_has_no_share_of_alpha(by: str) -> None:
    """Here b and c never meet, and no item has all three."""
    made = model(subsets="all", alpha=0.7, alpha_by=by)
    made.learn_patterns({("a", "b"): 3, ("a", "c"): 3})
    known = {s: a for s, a in zip(made.subsets, made.penalty.alphas, strict=True) if a}
    assert set(known) == {("a",), ("b",), ("c",)}
    assert list(known.values()) == pytest.approx([1.4 / 3] * 3)
    again = model(subsets="all", alpha=0.7, alpha_by=by)
    again.load_state_dict(made.state_dict())
    assert again.penalty.alphas == made.penalty.alphas


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 2**31), st.integers(1, 200), st.sampled_from([(), ("a",), ("a", "g")]))
def test_a_subset_is_informed_by_items_that_have_it_and_more(seed: int, count: int, teachers):
    names = tuple("abcdefg")
    subsets = family("all", names)
    has = torch.rand(count, 7, generator=torch.Generator().manual_seed(seed)) < 0.5
    patterns = {tuple(compress(names, row)): 1 for row in has.tolist()}
    informed = Informed(subsets, names, teachers)
    informed.remember()
    taught = [set(p) for p in patterns if set(teachers) <= set(p)]
    expected = [any(set(s) < p for p in taught) for s in subsets]
    assert informed.learn(patterns) == expected
    assert informed.subsets == list(compress(subsets, expected))


def test_drawn_subsets_leave_the_penalty_of_every_item_unbiased() -> None:
    """The mean over all equally likely draws is the full sum."""
    keys = {"subsets": "all", "alpha": 0.8, "subset_alpha": {"a+b": 3.0}}
    full, drawing = model(**keys), model(subsets_per_step=2, **keys)
    by_draw: dict[tuple[int, ...], Tensor] = {}
    for step in range(200):
        drawn = tuple(drawing.penalty.draw(step_draws(B, step), drawing.training))
        if drawn not in by_draw:
            by_draw[drawn] = objective(drawing, gappy(drawing), step).named["penalty"]
    assert set(by_draw) == set(combinations(range(6), 2))
    penalty = objective(full, gappy(full)).named["penalty"]
    assert_close(torch.stack(list(by_draw.values())).mean(0), penalty)


def test_subsets_that_no_item_informs_are_not_drawn_and_the_penalty_stays_unbiased() -> None:
    """Here b and c never meet, so that a+b, a+c and b+c have no item with more."""
    keys = {"subsets": "all", "alpha": 0.8, "subset_alpha": {"b": 3.0}}
    full, drawing = model(**keys), model(subsets_per_step=2, **keys)
    has = {"b": torch.arange(B) % 2 == 0, "c": torch.arange(B) % 2 == 1}
    for made in (full, drawing):
        made.learn_patterns({("a", "b"): 3, ("a", "c"): 3})
    items = gappy(full)
    items = Batch(items.x, items.observed, has)
    by_draw: dict[tuple[int, ...], Tensor] = {}
    for step in range(100):
        drawn = tuple(drawing.penalty.draw(step_draws(B, step), drawing.training))
        if drawn not in by_draw:
            by_draw[drawn] = objective(drawing, items, step).named["penalty"]
    assert set(by_draw) == set(combinations(range(3), 2))
    penalty = objective(full, items).named["penalty"]
    assert_close(torch.stack(list(by_draw.values())).mean(0), penalty)
    many = model(subsets_per_step=5, **keys)  # more than there are
    many.learn_patterns({("a", "b"): 3, ("a", "c"): 3})
    assert_close(objective(many, items).named["penalty"], penalty)


# -- what is asked of which posterior -------------------------------------------------------------


def test_what_was_found_of_subsets_is_forgotten_once_others_are_trained() -> None:
    made = jmvae(codecs(), subsets="all")
    assert made.experts.of(("a", "b")) == [("a", "b")]
    made.learn_patterns({("a", "b"): 5, ("b", "c"): 2, ("c",): 1})
    assert made.experts.of(("a", "b")) == [("a",), ("b",)]


def test_posteriors_that_no_item_informed_are_not_asked() -> None:
    made = jmvae(codecs(), subsets="all")
    made.learn_patterns({("a", "b"): 5, ("b", "c"): 2, ("c",): 1})
    assert made.trained_subsets == [("a",), ("b",), ("c",)]
    (remark,) = made.remarks()
    assert "no training item trains the posterior of a+b, a+c, b+c: this needs" in remark
    assert jmvae(codecs(), subsets="all").remarks() == []
    x = gappy(made).x
    product = made.posterior({"a": x["a"], "b": x["b"]})  # its own head was never trained
    assert not torch.equal(product.mean, made.encoders.subset(x, 3).mean)
    again = jmvae(codecs(), subsets="all", seed=5)
    again.load_state_dict(made.state_dict())
    assert again.trained_subsets == made.trained_subsets


def test_listed_subsets_must_be_informed_and_some_must_be() -> None:
    made = jmvae(codecs(), subsets=["a", "a+b"])
    with pytest.raises(ConfigError, match=r"'a\+b': this needs items with a, b and at least one"):
        made.learn_patterns({("a", "c"): 5, ("a", "b"): 2})
    with pytest.raises(ConfigError, match=r"model.alpha = 0"):
        jmvae(codecs()).learn_patterns({("a",): 5, ("b",): 2})
    jmvae(codecs(), alpha=0).learn_patterns({("a",): 5, ("b",): 2})


def test_gaps_that_the_training_never_had_have_no_joint_posterior() -> None:
    made = jmvae(codecs("a"))
    batch = gappy(made)
    with pytest.raises(UsageError, match="Items lack b and c, which every training item"):
        made.joint_posterior(batch)


def test_jmvae_zero_sees_stand_ins() -> None:
    made = jmvae(codecs(), missing="zero")
    batch = gappy(made)
    q = made.encoders.joint(batch.x)
    z = q.rsample(step_draws(B).normal("z", 2))
    nats = sum(
        torch.where(batch.present[m], made.log_likelihood(m, z, batch.x[m]), 0.0) for m in NAMES
    )
    loss = kl_divergence(q, DiagonalGaussian.standard(q.mean)) - nats
    assert_close(objective(made, batch).loss, loss)


def test_data_without_gaps_make_the_model_of_the_paper() -> None:
    """Same names, shapes and first weights as where nobody thinks of gaps."""
    plain, first = jmvae(codecs("")), model()
    assert plain.encoders.joint_posterior.fusion[0].in_features == 3 + 2 + 4
    assert first.encoders.joint_posterior.fusion[0].in_features == 3 + 2 + 4 + 3
    assert not any(name.startswith("informed") for name in plain.state_dict())
    assert "informed.ever" in first.state_dict()

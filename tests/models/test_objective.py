"""The objective as arithmetic on nats."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.testing import assert_close

from mmvae.models.objective import jmvae_objective, kl_penalty, sum_of

SUBSETS = [("a",), ("b",), ("a", "b")]


def nats(seed: int = 0) -> tuple[dict[str, Tensor], Tensor, Tensor]:
    source = torch.Generator().manual_seed(seed)
    likelihoods = {m: -torch.rand(5, generator=source, dtype=torch.float64) for m in "abc"}
    kl = torch.rand(5, generator=source, dtype=torch.float64)
    return likelihoods, kl, torch.rand(3, 5, generator=source, dtype=torch.float64)


weights = st.floats(0, 10)


@settings(deadline=None)
@given(
    weights, weights, st.lists(weights, min_size=3, max_size=3), st.sampled_from([0.5, 1.0, 4.0])
)
def test_loss_is_equation_t4(beta: float, gamma: float, alphas: list[float], by: float) -> None:
    likelihoods, kl, penalties = nats()
    penalty = kl_penalty(penalties, alphas, SUBSETS)
    terms = jmvae_objective(likelihoods, kl, penalty, {"b": by}, beta=beta, gamma=gamma)
    for i in range(5):
        bound = sum(likelihoods[m][i] * (by if m == "b" else 1) for m in "abc") - beta * kl[i]
        pulled = gamma * sum(a * p[i] for a, p in zip(alphas, penalties, strict=True))
        assert terms.loss[i].item() == pytest.approx(float(pulled - bound))


def test_the_elbo_knows_no_weight() -> None:
    likelihoods, kl, penalties = nats()
    plain = jmvae_objective(likelihoods, kl).named["elbo"]
    penalty = kl_penalty(penalties, [1.0, 2.0, 3.0], SUBSETS)
    weighted = jmvae_objective(likelihoods, kl, penalty, {"a": 9.0}, beta=0.1, gamma=0.2)
    assert torch.equal(weighted.named["elbo"], plain)
    assert_close(plain, sum(likelihoods.values()) - kl)


def test_terms_are_named_and_per_item() -> None:
    likelihoods, kl, penalties = nats()
    terms = jmvae_objective(likelihoods, kl, kl_penalty(penalties, [1.0, 0.5, 0.25], SUBSETS))
    named = terms.named
    assert list(named) == [
        *("log_likelihood/a", "log_likelihood/b", "log_likelihood/c"),
        *("kl", "penalty", "subset_kl/a", "subset_kl/b", "subset_kl/a+b", "elbo"),
    ]
    assert {value.shape for value in (*named.values(), terms.loss)} == {(5,)}
    weighted = penalties[0] + 0.5 * penalties[1] + 0.25 * penalties[2]
    assert_close(named["penalty"], weighted)  # T5
    assert torch.equal(named["subset_kl/a+b"], penalties[2])


def test_drawn_subsets_have_no_terms_of_their_own() -> None:
    likelihoods, kl, penalties = nats()
    terms = jmvae_objective(likelihoods, kl, kl_penalty(penalties, [1.0, 1.0, 1.0]))
    assert "penalty" in terms.named
    assert not any(name.startswith("subset_kl") for name in terms.named)


def test_subsets_and_penalties_must_pair_up() -> None:
    _, _, penalties = nats()
    with pytest.raises(ValueError, match="zip"):
        kl_penalty(penalties, [1.0, 1.0, 1.0], SUBSETS[:2])


def test_the_penalty_keeps_float32_under_autocast() -> None:
    penalties = torch.full((2, 3), 1.0 + 2**-12)
    with torch.autocast("cpu", torch.bfloat16):
        terms = jmvae_objective(
            {"a": torch.zeros(3)}, torch.zeros(3), kl_penalty(penalties, [1.0, 2.0])
        )
    assert_close(terms.loss, torch.full((3,), 3 * (1 + 2**-12)), rtol=1e-7, atol=0)


@settings(deadline=None)
@given(st.lists(st.integers(-9, 9), min_size=1))
def test_sum_of_is_the_sum(values: list[int]) -> None:
    assert sum_of([torch.tensor([float(v)]) for v in values]).item() == sum(values)

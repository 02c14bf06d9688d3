"""Bounds and terms against linear-Gaussian models, whose evidence is known."""

from __future__ import annotations

import pytest
import torch
from conditional import Conditional
from linear_gaussian import batch, exact, jmvae, linear_codecs, log_evidence, step_draws

from mmvae.evaluation.elbo import bound_and_terms, shown_subsets, subset_divergences
from mmvae.evaluation.statistics import mean_and_error
from mmvae.models.posteriors import kl_divergence

DIMS = {"a": {"dim": 3, "sd": 0.8}, "b": {"dim": 4, "sd": 1.3}}


def items(b: int, modalities: tuple[str, ...] = ("a", "b")) -> dict[str, torch.Tensor]:
    source = torch.Generator().manual_seed(1)
    dims = {"a": 3, "b": 4, "c": 2}
    return {m: torch.randn(b, dims[m], generator=source) for m in modalities}


@pytest.fixture(scope="module")
def model():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        made = jmvae(linear_codecs(**DIMS), fusion="linear").eval()
        with torch.no_grad():
            return exact(made)


def test_elbo_is_the_sum_of_its_terms_and_in_the_mean_the_evidence(model) -> None:
    x = {m: value[:1].expand(20_000, -1) for m, value in items(1).items()}
    found = bound_and_terms(model, batch(x), step_draws(20_000))
    likelihoods = found["terms", "log_likelihood/a"] + found["terms", "log_likelihood/b"]
    torch.testing.assert_close(found["bounds", "elbo"], likelihoods - found["terms", "kl"])
    figure = mean_and_error(found["bounds", "elbo"])
    evidence = float(log_evidence(model, x, ("a", "b"))[0].detach())
    assert abs(figure["mean"] - evidence) < 4 * figure["error"]


def test_divergences_are_those_of_the_posteriors(model) -> None:
    x = items(5)
    found = subset_divergences(model, batch(x), step_draws(5))
    assert list(found) == [("subset posteriors", "a"), ("subset posteriors", "b")]
    wanted = kl_divergence(model.posterior(x), model.posterior({"b": x["b"]}))
    torch.testing.assert_close(found["subset posteriors", "b"], wanted)


def test_all_proper_subsets_are_shown_while_they_are_few() -> None:
    three = jmvae(linear_codecs(a={"dim": 3}, b={"dim": 4}, c={"dim": 2}))
    assert shown_subsets(three) == [*zip("abc"), ("a", "b"), ("a", "c"), ("b", "c")]
    five = jmvae(linear_codecs(**{m: {"dim": 2} for m in "abcde"}))
    assert {len(s) for s in shown_subsets(five)} == {1, 4}
    assert len(shown_subsets(five)) == 10


def test_subsets_without_a_posterior_are_not_shown() -> None:
    codecs = linear_codecs(a={"dim": 3}, b={"dim": 4}, c={"dim": 2})
    assert shown_subsets(jmvae(codecs, subsets=["a"])) == [("a",)]
    assert shown_subsets(jmvae(codecs, alpha=0.0)) == []
    assert shown_subsets(jmvae(linear_codecs(a={"dim": 3}))) == []


def test_the_terms_of_a_conditional_model_are_those_of_what_it_decodes() -> None:
    model, source = Conditional(), torch.Generator().manual_seed(1)
    x = {"x": torch.randn(2000, 4, generator=source), "w": torch.randn(2000, 3, generator=source)}
    found = bound_and_terms(model, batch(x), step_draws(2000))
    evidence = model.evidence(x["x"], x["w"]).detach()
    assert {path for path in found if path[0] == "terms"} == {
        ("terms", "log_likelihood/x"),
        ("terms", "kl"),
    }
    torch.testing.assert_close(found["bounds", "elbo"].mean(), evidence.mean(), atol=0.1, rtol=0)

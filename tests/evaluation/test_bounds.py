"""Importance-weighted bounds: identities under exact posteriors, and what is refused."""

from __future__ import annotations

import pytest
import torch
from conditional import Conditional
from linear_gaussian import batch, exact, jmvae, linear_codecs, log_evidence, step_draws
from torch import Tensor

from mmvae.data.batches import Batch
from mmvae.evaluation.bounds import Evidence, estimates, iw_bound
from mmvae.evaluation.noise import chunked
from mmvae.evaluation.weight_sum import WeightSum
from mmvae.foundations.errors import UsageError

DIMS = {"a": {"dim": 3, "sd": 0.8}, "b": {"dim": 2, "sd": 1.3}}


def items(b: int) -> Batch:
    source = torch.Generator().manual_seed(1)
    return batch({m: torch.randn(b, keys["dim"], generator=source) for m, keys in DIMS.items()})


@pytest.fixture(scope="module")
def model():
    return exact(jmvae(linear_codecs(**DIMS), fusion="linear").eval())


@pytest.mark.parametrize("k", [1, 4, 33])
def test_under_the_exact_posterior_the_bound_is_the_evidence(model, k: int) -> None:
    x = items(7)
    for subset in (("a", "b"), ("a",), ("b",)):
        found = iw_bound(model, x, subset, subset, k, step_draws(7))
        evidence = log_evidence(model, x.x, subset).detach()
        torch.testing.assert_close(found, evidence, atol=1e-5, rtol=0)


def test_the_bound_rises_with_k_on_average() -> None:
    untrained = jmvae(linear_codecs(**DIMS)).eval()
    x, both = items(400), ("a", "b")
    means = [
        float(iw_bound(untrained, x, both, both, k, step_draws(400)).mean()) for k in (1, 2, 8, 64)
    ]
    assert means == sorted(means)


@pytest.mark.parametrize("k", [1, 5])
def test_a_conditional_models_bound_is_its_conditional_evidence(k: int) -> None:
    """Under the exact posterior, so that prior and likelihood must both see the condition."""
    model, source = Conditional(), torch.Generator().manual_seed(1)
    x = {"x": torch.randn(6, 4, generator=source), "w": torch.randn(6, 3, generator=source)}
    bound = iw_bound(model, batch(x), ("x",), ("x", "w"), k, step_draws(6), given=("w",))
    evidence = model.evidence(x["x"], x["w"]).detach().double()
    torch.testing.assert_close(bound, evidence, atol=1e-5, rtol=0)


def test_a_model_that_cannot_condition_refuses_to(model) -> None:
    with pytest.raises(UsageError, match=r"given = b: a 'jmvae' model.*difference of two bounds"):
        iw_bound(model, items(3), ("a",), ("a", "b"), 2, step_draws(3), given=("b",))


def test_less_than_one_sample_is_refused(model) -> None:
    with pytest.raises(UsageError, match=r"samples = 0: expected at least 1"):
        iw_bound(model, items(3), ("a",), ("a",), 0, step_draws(3))


@pytest.mark.parametrize("rows", [1, 3, 50, 10_000])
def test_how_many_are_decoded_at_once_changes_nothing_beyond_rounding(model, rows: int) -> None:
    wanted = [
        Evidence(("a", "b"), (), ("a",), 70),
        Evidence(("a",), (), ("a",), 70),
        Evidence(("b",), (), None, 70),
    ]
    whole = estimates(model, items(5), wanted, step_draws(5))
    parts = estimates(model, items(5), wanted, step_draws(5), rows)
    rounding = {"rtol": 1e-5, "atol": 1e-5}  # of float32, in which likelihoods are computed
    for evidence in wanted:
        found, expected = parts[evidence], whole[evidence]
        torch.testing.assert_close(found.nats, expected.nats, **rounding)
        torch.testing.assert_close(found.effective, expected.effective, **rounding)


def test_samples_of_the_prior_are_shared_by_items_and_decoded_once(model, monkeypatch) -> None:
    """log p(x) ≈ log 1/k Σ p(x|z_i) with the same z for all: a mixture, computed here by hand."""
    x, decoded = items(6), []
    before = type(model).parameters_of

    def counted(self, modality: str, z: Tensor, given) -> Tensor:
        decoded.append(z)
        return before(self, modality, z, given)

    monkeypatch.setattr(type(model), "parameters_of", counted)
    evidence = Evidence(("a",), (), None, 40)
    found = estimates(model, x, [evidence], step_draws(6))[evidence].nats
    z = torch.cat(decoded)
    assert z.shape == (40, 2)
    mean = before(model, "a", z, {})
    each = torch.distributions.Normal(mean[:, None], DIMS["a"]["sd"]).log_prob(x.x["a"]).sum(-1)
    by_hand = each.double().logsumexp(0) - torch.tensor(40.0).double().log()
    torch.testing.assert_close(found, by_hand.detach(), atol=1e-5, rtol=0)


def test_the_posterior_is_asked_once_however_many_samples(model, monkeypatch) -> None:
    asked = []
    posterior = type(model).posterior
    monkeypatch.setattr(
        type(model), "posterior", lambda self, x: (asked.append(1), posterior(self, x))[1]
    )
    wanted = [Evidence(("a",), (), ("a", "b"), 200), Evidence(("b",), (), ("a", "b"), 200)]
    estimates(model, items(3), wanted, step_draws(3), rows=6)
    assert len(asked) == 1


def test_effective_samples_are_those_of_the_weights() -> None:
    total = WeightSum(2)
    equal_and_one = torch.tensor([[0.0, 1000.0], [0.0, 0.0], [0.0, 0.0], [0.0, 0.0]])
    for part in equal_and_one.split(3):
        total.add(part - 5000)  # far below what a float can hold as a number
    found = total.estimate()
    torch.testing.assert_close(found.effective, torch.tensor([4.0, 1.0]).double())
    expected = torch.tensor([-5000.0, -4000.0 - float(torch.tensor(4.0).log())]).double()
    torch.testing.assert_close(found.nats, expected)


@pytest.mark.parametrize(("total", "at_once"), [(1, 1), (70, 5), (70, 40), (64, 64), (100, 1000)])
def test_chunks_are_the_blocks_in_order(total: int, at_once: int) -> None:
    blocks = torch.arange(128).split(32)[: -(-total // 32)]
    chunks = list(chunked(blocks, total, at_once))
    assert torch.cat(chunks).tolist() == list(range(total))
    assert max(map(len, chunks)) <= at_once

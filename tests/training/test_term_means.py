"""Means of terms: over items, whatever the parts, and never over a NaN."""

from __future__ import annotations

import pytest
import torch

from mmvae.foundations.errors import TrainingError
from mmvae.models.phase import Terms
from mmvae.training.term_means import TermMeans, check_finite, wide


def terms(*values, **named):
    return Terms(torch.tensor(values), {k: torch.tensor(v) for k, v in named.items()})


def test_means_are_over_items_not_steps():
    means = TermMeans()
    means.add(0, "", terms(1.0, 2.0, 3.0, kl=[0.0, 0.0, 3.0]), 3)
    means.add(1, "", terms(6.0, kl=[1.0]), 1)
    assert means.stacked().dtype == torch.float64
    assert means.means(means.stacked()) == {"loss": 3.0, "kl": 1.0}


def test_a_flush_starts_anew():
    means = TermMeans()
    means.add(0, "", terms(1.0), 1)
    means.means(means.stacked())
    assert means.rows == means.steps == []
    means.add(1, "", terms(5.0), 1)
    assert means.means(means.stacked()) == {"loss": 5.0}


def test_parts_of_a_step_are_one_row():
    whole, parts = TermMeans(), TermMeans()
    whole.add(3, "", terms(1.0, 2.0, 4.0), 3)
    parts.add(3, "", terms(1.0), 1)
    parts.add(3, "", terms(), 0)
    parts.add(3, "", terms(2.0, 4.0), 2)
    assert parts.steps == [3]
    assert torch.equal(parts.stacked(), whole.stacked())


def test_phases_have_terms_of_their_own():
    means = TermMeans()
    for step in (0, 1):
        for part in (0, 1):
            means.add(step, "critic", terms(4.0 + part, fooled=[1.0]), 1)
        means.add(step, "model", terms(1.0, 3.0), 2)
    assert means.means(means.stacked()) == {
        "critic/loss": 4.5,
        "critic/fooled": 1.0,
        "model/loss": 2.0,
    }


def test_restored_means_go_on_exactly():
    means, restored = TermMeans(), TermMeans()
    means.add(0, "b", terms(0.1, kl=[0.3]), 1)
    means.add(0, "a", terms(0.7), 1)
    restored.restore(dict(means.names), list(means.steps), means.stacked())
    for each in (means, restored):
        each.add(1, "b", terms(0.2, kl=[0.5]), 1)
        each.add(1, "a", terms(0.9), 1)
    assert torch.equal(means.stacked(), restored.stacked())
    restored.blank()
    assert not restored.stacked().any()


def test_terms_keep_their_names():
    means = TermMeans()
    means.add(0, "", terms(1.0, kl=[1.0]), 1)
    with pytest.raises(ValueError, match="Terms changed"):
        means.add(1, "", terms(1.0, penalty=[1.0]), 1)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_the_first_bad_step_and_its_term_are_named(value):
    means = TermMeans()
    means.add(7, "", terms(1.0, kl=[1.0], elbo=[1.0]), 1)
    means.add(8, "", terms(value, kl=[value], elbo=[value]), 1)
    means.add(9, "", terms(value, kl=[1.0], elbo=[value]), 1)
    with pytest.raises(TrainingError, match=f"^kl became {value} at step 9; .*learning_rate"):
        means.means(means.stacked())


def test_the_loss_is_blamed_if_no_term_is():
    with pytest.raises(TrainingError, match="^critic/loss became nan in the validation"):
        check_finite(
            torch.tensor([[float("nan"), 1.0]]), ["critic/loss", "kl"], ["in the validation"]
        )


def test_sums_are_float64_where_the_device_has_it():
    types = {name: wide(torch.device(name)) for name in ("cpu", "cuda", "mps")}
    assert types == {"cpu": torch.float64, "cuda": torch.float64, "mps": torch.float32}
    means = TermMeans()
    means.add(0, "", Terms(torch.ones(4), {"elbo": torch.ones(4)}), 4)
    assert means.stacked().dtype == torch.float64

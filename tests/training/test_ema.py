"""The running mean of the weights: a weighted mean of what updates left, without the start."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from mmvae.training.ema import WeightAverage, decay_of

DECAYS = [0.5, 0.9, 0.999, 0.99999]


def weights_of(updates: int, decay: float, begins: int = 0) -> tuple[float, list[float]]:
    """What weighs the start, and each update: the mean of unit vectors, one for each."""
    model = nn.Linear(updates + 1, 1, bias=False).double()
    axes = torch.eye(updates + 1, dtype=torch.float64)
    with torch.no_grad():
        model.weight.copy_(axes[:1])
    average = WeightAverage(model, decay, {id(model.weight): begins})
    for step in range(updates):
        with torch.no_grad():
            model.weight.copy_(axes[step + 1 : step + 2])
        average.update(model, begins + step)
    start, *others = average.model.weight[0].tolist()
    return start, others


@pytest.mark.parametrize("decay", DECAYS)
@pytest.mark.parametrize("updates", [1, 2, 7, 200])
def test_the_weights_sum_to_one_and_the_start_has_none(decay, updates):
    start, others = weights_of(updates, decay)
    assert start == 0.0
    assert math.fsum(others) == pytest.approx(1, abs=1e-12)
    assert others == sorted(others)  # none is younger and counts less


def test_an_early_mean_has_the_weights_of_the_closed_form():
    """9 (T-1)!/(T+8)! · s (s+1) … (s+7) for update s of T."""
    t, (_, found) = 60, weights_of(60, 0.999)
    scale = 9 * math.factorial(t - 1) / math.factorial(t + 8)
    expected = [scale * math.prod(range(s, s + 8)) for s in range(1, t + 1)]
    assert found == pytest.approx(expected, rel=1e-9, abs=1e-30)


def test_the_decay_grows_up_to_its_limit_and_stays_there():
    assert decay_of(1, 0.999) == 0.0
    assert decay_of(10, 0.999) == 0.5
    assert decay_of(8992, 0.999) == pytest.approx(0.999, abs=1e-12)
    assert decay_of(8993, 0.999) == decay_of(10**9, 0.999) == 0.999
    _, found = weights_of(40, 0.5)
    assert found[-1] == pytest.approx(0.5)
    assert found[-2] == pytest.approx(0.25)


def test_after_a_jump_the_mean_is_what_the_closed_form_says():
    """0 for 500 updates, then 1 for 540: the share of the weights from 501 on."""
    model = nn.Linear(1, 1, bias=False).double()
    average = WeightAverage(model, 0.999)
    for step in range(1040):
        nn.init.constant_(model.weight, float(step >= 500))
        average.update(model, step)
    before = math.prod((j - 1) / (j + 8) for j in range(501, 1041))
    assert average.model.weight.item() == pytest.approx(1 - before, abs=1e-12)
    assert before < 2e-3  # a constant decay of 0.999 would keep 58 % of the zeros, and the start


def test_what_begins_late_has_its_own_start():
    start, others = weights_of(5, 0.999, begins=300)
    assert start == 0.0
    assert others == weights_of(5, 0.999)[1]


def test_weights_that_have_not_begun_and_whole_numbers_are_copied():
    model = nn.BatchNorm1d(2)
    average = WeightAverage(model, 0.999, {id(model.weight): 10})
    nn.init.constant_(model.weight, 3.0)
    model.num_batches_tracked.fill_(7)
    average.update(model, 4)
    assert average.model.weight.tolist() == [3.0, 3.0]
    assert average.model.num_batches_tracked.item() == 7

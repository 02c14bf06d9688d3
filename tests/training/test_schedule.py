"""Schedules against tables of steps."""

import math

import pytest

from mmvae.training.schedule import learning_rate, warmup_weight, warmup_weight_of_step


@pytest.mark.parametrize(
    ("warmup_epochs", "weights"),
    [
        (0, [1, 1, 1]),
        (1, [1, 1, 1]),
        (2, [0, 1, 1]),
        (5, [0, 0.25, 0.5, 0.75, 1, 1, 1]),  # (i - 1) / (N_t - 1) in epoch i, counted from 1
    ],
)
def test_warmup_grows_linearly_from_0_to_1(warmup_epochs, weights):
    assert [warmup_weight(i, warmup_epochs) for i in range(len(weights))] == weights


def test_warmup_by_steps_grows_from_the_first_step_on():
    assert [warmup_weight_of_step(step, 4) for step in range(6)] == [0.25, 0.5, 0.75, 1, 1, 1]
    assert warmup_weight_of_step(0, 1) == 1


def test_warmup_of_the_paper():
    """Epoch i of 200 has the weight (i - 1) / 199, and every later one 1."""
    weights = [warmup_weight(epoch, 200) for epoch in range(500)]
    assert weights[:200] == [(i - 1) / 199 for i in range(1, 201)]
    assert set(weights[200:]) == {1.0}


@pytest.mark.parametrize(
    ("settings", "rates"),
    [
        ({}, [1, 1, 1, 1, 1]),
        ({"warmup_steps": 4}, [0.25, 0.5, 0.75, 1, 1]),
        ({"schedule": "linear"}, [1, 0.75, 0.5, 0.25, 0]),
        ({"schedule": "linear", "final": 0.2}, [1, 0.8, 0.6, 0.4, 0.2]),
        ({"schedule": "linear", "warmup_steps": 2}, [0.5, 1, 1, 0.5, 0]),
        ({"schedule": "cosine"}, [1, (2 + math.sqrt(2)) / 4, 0.5, (2 - math.sqrt(2)) / 4, 0]),
        ({"schedule": "cosine", "final": 0.5}, [1, None, 0.75, None, 0.5]),
        ({"schedule": "cosine", "warmup_steps": 9}, [1 / 9, 2 / 9, 3 / 9, 4 / 9, 5 / 9]),
    ],
)
def test_learning_rate_of_five_steps(settings, rates):
    found = [learning_rate(step, 5, 1.0, **settings) for step in range(5)]
    for rate, expected in zip(found, rates, strict=True):
        assert expected is None or rate == pytest.approx(expected, abs=1e-15)


@pytest.mark.parametrize("schedule", ["constant", "linear", "cosine"])
def test_a_training_of_one_step_has_a_rate(schedule):
    assert learning_rate(0, 1, 3.0, schedule) == 3.0

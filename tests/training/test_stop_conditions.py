"""The reasons to stop before the last epoch, and the time that is left."""

from __future__ import annotations

import signal
from types import SimpleNamespace

import pytest

from mmvae.training.stop_conditions import Limits, StopConditions

PROCESS = SimpleNamespace(num_processes=1)


def steps_of(step, total=15):
    """What stop conditions see of a training."""
    state = SimpleNamespace(position=SimpleNamespace(step=step))
    return SimpleNamespace(state=state, total_steps=total, accelerator=PROCESS)


@pytest.mark.parametrize(
    ("limits", "received", "reason"),
    [
        ({}, None, None),
        ({"max_steps": 6}, None, None),
        ({"max_steps": 5}, None, "--max-steps"),
        ({"max_steps": 4}, signal.SIGTERM, "--max-steps"),
        ({"max_seconds": 9}, signal.SIGTERM, 75),
        ({}, signal.SIGINT, 130),
        ({"max_seconds": 20}, None, None),
        ({"max_seconds": 19}, None, "--max-time"),
    ],
)
def test_the_reason_to_stop_before_the_sixth_step(limits, received, reason, monkeypatch):
    stops = StopConditions(steps_of(5))
    stops.began, stops.limits = 80.0, Limits(**limits)
    clock = SimpleNamespace(monotonic=lambda: 100.0)
    monkeypatch.setattr("mmvae.training.stop_conditions.time", clock)
    assert stops.reason(SimpleNamespace(received=received)) == reason


@pytest.mark.parametrize(
    ("limits", "left"),
    [
        ({}, 40),
        ({"max_steps": 8}, 12),
        ({"max_steps": 5}, 0),
        ({"max_steps": 99}, 40),
        ({"max_seconds": 27}, 7),
        ({"max_seconds": 900}, 40),
        ({"max_steps": 6, "max_seconds": 27}, 4),
    ],
)
def test_the_time_left_is_until_the_training_stops(limits, left, monkeypatch):
    """Five of fifteen steps took 20 seconds."""
    stops = StopConditions(steps_of(0))
    stops.began, stops.limits = 80.0, Limits(**limits)
    clock = SimpleNamespace(monotonic=lambda: 100.0)
    monkeypatch.setattr("mmvae.training.stop_conditions.time", clock)
    assert stops.seconds_left(5) == left

"""Progress of evaluations where no terminal is."""

from __future__ import annotations

import itertools

import pytest

from mmvae.cli import steps
from mmvae.cli.steps import PAUSE_S, Lines


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch):
    """Each look at the clock is half a pause after the one before."""
    ticks = itertools.count()
    monkeypatch.setattr(steps.time, "monotonic", lambda: next(ticks) * PAUSE_S / 2)


@pytest.mark.usefixtures("clock")
def test_every_pause_has_one_line_with_the_time_left(capsys: pytest.CaptureFixture) -> None:
    told = Lines()
    for done in range(5):
        told("bounds", done * 1000, 10_000)
    # A thousand takes half a pause, so that 9,000 take 45 s and 7,000 take 35 s.
    assert (
        capsys.readouterr().err
        == "bounds  1,000/10,000  left 45s\nbounds  3,000/10,000  left 35s\n"
    )


@pytest.mark.usefixtures("clock")
def test_work_that_was_done_before_does_not_count_as_speed(capsys: pytest.CaptureFixture) -> None:
    told = Lines()
    told("bounds", 8_000, 10_000)
    told("bounds", 9_000, 10_000)
    assert capsys.readouterr().err == "bounds  9,000/10,000  left 5s\n"


def test_quick_work_says_nothing(capsys: pytest.CaptureFixture) -> None:
    told = Lines()
    for done in range(100):
        told("classifier", done, 100)
    assert capsys.readouterr().err == ""

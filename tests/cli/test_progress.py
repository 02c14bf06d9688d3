"""Progress of commands: lines where no terminal is, bars and tables one after the other."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest

from mmvae.cli import progress
from mmvae.cli.progress import PAUSE_S, Lines
from mmvae.foundations.progress import Progress


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch):
    """Each look at the clock is half a pause after the one before."""
    ticks = itertools.count()
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(ticks) * PAUSE_S / 2)


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


class Table(Progress):
    """The progress of a training, which remembers what it was told."""

    def __init__(self, told: list[str]) -> None:
        self.told = told

    def __enter__(self) -> Table:
        self.told.append("begin")
        return self

    def __exit__(self, *details: object) -> None:
        self.told.append("end")

    def say(self, line: str) -> None:
        self.told.append(line)

    def record(self, record: Mapping[str, Any], total_steps: int, seconds_left: float) -> None:
        self.told.append(f"record of {total_steps}")


def test_each_training_has_a_progress_of_its_own_and_bars_end_before_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    told: list[str] = []

    @contextmanager
    def parts() -> Iterator[Any]:
        told.append("bars")
        yield lambda what, done, total: told.append(f"{what} {done}/{total}")
        told.append("no bars")

    monkeypatch.setattr(progress, "shown_parts", parts)
    monkeypatch.setattr(progress, "training_progress", lambda: Table(told))
    with progress.shown_progress() as shown:
        shown.say("row 1")
        with shown:
            shown.say("saved step 2")
            shown.record({}, 15, 0.0)
        shown.part("items", 1, 2)
        shown.part("items", 2, 2)
        with shown:
            pass
        shown.part("drawing", 0, 1)
    assert told == [
        *("begin", "saved step 2", "record of 15", "end"),
        *("bars", "items 1/2", "items 2/2", "no bars"),
        *("begin", "end", "bars", "drawing 0/1", "no bars"),
    ]
    assert capsys.readouterr().err == "row 1\n"

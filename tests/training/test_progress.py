"""Progress as people see it: plain lines, a live table, and durations."""

from __future__ import annotations

import io

import pytest
from rich.console import Console
from trainings import config, train

from mmvae.foundations.progress import Progress
from mmvae.training.progress import LiveProgress, PlainProgress, duration, progress_for

TRAIN = {
    "step": 50, "epoch": 2, "split": "train", "loss": 12.25, "log_likelihood/v": -11.5, "kl": 1.0,
    "learning_rate": 0.001, "beta": 0.5, "seconds": 3.0, "items_per_second": 1234.5,
}  # fmt: skip
VALIDATION = {"step": 60, "epoch": 2, "split": "validation", "objective": -12.5, "kl": 0.75}


def terminal(screen):
    return Console(file=screen, force_terminal=True, width=100, height=40)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0s"),
        (8.9, "8s"),
        (59.99, "59s"),
        (60, "1m00s"),
        (200, "3m20s"),
        (3600, "1h00m"),
        (3725, "1h02m"),
        (360000, "100h00m"),
        (float("nan"), "?"),
        (float("inf"), "?"),
    ],
)
def test_durations_as_people_write_them(seconds, text):
    assert duration(seconds) == text


def test_a_plain_line_tells_terms_rate_and_time_left():
    stream = io.StringIO()
    progress = PlainProgress(stream)
    progress.record(TRAIN, 300, 75.0)
    progress.record(VALIDATION, 300, 60.0)
    first, second = (" ".join(line.split()) for line in stream.getvalue().splitlines())
    terms = "loss 12.25 log_likelihood/v -11.5 kl 1 beta 0.5"
    assert first == f"train epoch 2 step 50/300 {terms} 1234 items/s left 1m15s"
    assert second == "validation epoch 2 step 60/300 objective -12.5 kl 0.75 left 1m00s"


def test_a_live_table_shows_both_splits_on_a_terminal():
    screen = io.StringIO()
    with LiveProgress(terminal(screen)) as progress:
        progress.record(TRAIN, 300, 75.0)
        progress.record(VALIDATION, 300, 60.0)
        progress.say("saved step 60")
        progress.say("stopped by [--max-time] after step 60")
    text = screen.getvalue()
    for part in (
        "epoch 2", "step 60/300", "1234 items/s", "left 1m00s", "last checkpoint 0s ago",
        "nats per item", "train", "validation", "log_likelihood/v", "-11.500", "0.750",
        "stopped by [--max-time] after step 60",
    ):  # fmt: skip
        assert part in text, part
    assert "saved step" not in text
    assert "learning_rate" not in text


def test_plain_lines_keep_their_pause_but_for_the_last_step():
    stream = io.StringIO()
    progress = PlainProgress(stream, pause=3600.0)
    for step in (50, 100, 300):
        progress.record(TRAIN | {"step": step}, 300, 75.0)
    progress.record(VALIDATION, 300, 60.0)
    lines = [line.split() for line in stream.getvalue().splitlines()]
    assert [(words[0], words[4]) for words in lines] == [
        ("train", "50/300"), ("train", "300/300"), ("validation", "60/300")
    ]  # fmt: skip


def test_the_progress_fits_the_stream():
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    assert type(progress_for(Terminal())) is LiveProgress
    assert type(progress_for(io.StringIO())) is PlainProgress
    assert type(progress_for(Terminal(), quiet=True)) is Progress


def test_a_training_shows_each_record_and_logs_it(tmp_path):
    stream = io.StringIO()
    train(tmp_path / "run", config(), progress=PlainProgress(stream))
    lines = stream.getvalue().splitlines()
    steps = [line.split()[4] for line in lines if line.startswith(("train", "validation"))]
    assert steps == [f"{n}/15" for n in (2, 4, 5, 5, 6, 8, 10, 10, 12, 14, 15, 15)]
    assert lines[-1] == "saved step 15"
    assert all(line in (tmp_path / "run" / "log.txt").read_text() for line in lines)


def test_a_live_training_ends_with_its_table(tmp_path):
    screen = io.StringIO()
    train(tmp_path / "run", config(), progress=LiveProgress(terminal(screen)))
    assert "step 15/15" in screen.getvalue()

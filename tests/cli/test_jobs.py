"""Rows at once: all lines with their row, one failure stops no other, a signal stops all."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time

import pytest

from mmvae.cli import jobs
from mmvae.cli.jobs import Jobs
from mmvae.foundations.errors import Interrupted, TrainingError, UsageError
from mmvae.foundations.signals import handling, terminable

WORK = """
import os, signal, sys, time
def stop(number, frame):
    print("saved", file=sys.stderr, flush=True)
    sys.exit({signal.SIGTERM: 75, signal.SIGINT: 130}[number])
signal.signal(signal.SIGTERM, stop)
signal.signal(signal.SIGINT, stop)
print("table")
print("begun with", os.environ["OMP_NUM_THREADS"], file=sys.stderr, flush=True)
if sys.argv[1] == "wrong":
    sys.exit("error: no such file")
if sys.argv[1] == "config":
    sys.exit(2)
if sys.argv[1].startswith("long"):
    time.sleep(60)
"""


@pytest.fixture(autouse=True)
def program(monkeypatch):
    monkeypatch.setattr(jobs, "PROGRAM", (sys.executable, "-c", WORK))
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)


def test_rows_share_the_cores_and_say_whose_line_it_is():
    said = []
    Jobs(2, lambda row: [row], said.append).run(["a", "b", "c"])
    share = jobs.threads(2)
    assert sorted(said) == [f"{row}: begun with {share}" for row in "abc"]


def test_threads_that_the_user_set_are_kept(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    said = []
    Jobs(2, lambda row: [row], said.append).run(["a"])
    assert said == ["a: begun with 7"]


def test_a_row_that_fails_stops_no_other_and_is_named():
    said = []
    with pytest.raises(TrainingError, match="row wrong failed with exit code 1: no such file"):
        Jobs(1, lambda row: [row], said.append).run(["wrong", "b"])
    assert any(line.startswith("b: begun") for line in said)
    with pytest.raises(UsageError, match="row config failed with exit code 2"):
        Jobs(1, lambda row: [row], said.append).run(["config"])


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 75), (signal.SIGINT, 130)])
def test_a_signal_stops_every_row_and_begins_no_other(number, code):
    said = []

    def send():
        while sum("begun" in line for line in said) < 2:
            time.sleep(0.02)
        os.kill(os.getpid(), number)

    def work():
        # A shell may have started us with SIGINT ignored, as in the background.
        with handling({signal.SIGINT: signal.default_int_handler}), terminable():
            Jobs(2, lambda row: [row], said.append).run(["long-a", "long-b", "c"])

    sender = threading.Thread(target=send)
    sender.start()
    with pytest.raises(Interrupted, match="every row was stopped") as stopped:
        work()
    sender.join()
    assert stopped.value.exit_code == code
    assert sorted(line for line in said if "saved" in line) == ["long-a: saved", "long-b: saved"]
    assert not any(line.startswith("c:") for line in said)

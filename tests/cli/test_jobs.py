"""Rows at once: all lines with their row, one failure stops no other, a signal or a kill all."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from heard import Heard

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
    heard = Heard()
    Jobs(2, lambda row: [row], heard).run(["a", "b", "c"])
    share = jobs.threads(2)
    assert sorted(heard.lines) == [f"{row}: begun with {share}" for row in "abc"]


def test_threads_that_the_user_set_are_kept(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    heard = Heard()
    Jobs(2, lambda row: [row], heard).run(["a"])
    assert heard.lines == ["a: begun with 7"]


def test_a_row_that_fails_stops_no_other_and_is_named():
    heard = Heard()
    with pytest.raises(TrainingError, match="row wrong failed with exit code 1: no such file"):
        Jobs(1, lambda row: [row], heard).run(["wrong", "b"])
    assert any(line.startswith("b: begun") for line in heard.lines)
    with pytest.raises(UsageError, match="row config failed with exit code 2"):
        Jobs(1, lambda row: [row], heard).run(["config"])


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 75), (signal.SIGINT, 130)])
def test_a_signal_stops_every_row_and_begins_no_other(number, code):
    heard = Heard()

    def send():
        while sum("begun" in line for line in heard.lines) < 2:
            time.sleep(0.02)
        os.kill(os.getpid(), number)

    def work():
        # A shell may have started us with SIGINT ignored, as in the background.
        with handling({signal.SIGINT: signal.default_int_handler}), terminable():
            Jobs(2, lambda row: [row], heard).run(["long-a", "long-b", "c"])

    sender = threading.Thread(target=send)
    sender.start()
    with pytest.raises(Interrupted, match="every row was stopped") as stopped:
        work()
    sender.join()
    assert stopped.value.exit_code == code
    assert sorted(line for line in heard.lines if "saved" in line) == [
        "long-a: saved",
        "long-b: saved",
    ]
    assert not any(line.startswith("c:") for line in heard.lines)


def row(work):
    """The program of a row with other work than the command's."""
    beginning, main, _ = jobs.ROW.partition("from mmvae.cli.start import main")
    assert main
    return beginning + work


ORPHAN = row("""
import os, signal, stat, sys, time
from pathlib import Path
def stop(number, frame):
    Path(sys.argv[1]).write_text("saved")
    sys.exit(75)
signal.signal(signal.SIGTERM, stop)
print(os.getpid(), stat.S_ISFIFO(os.fstat(0).st_mode), file=sys.stderr, flush=True)
time.sleep(300)
""")

PARENT = """
import sys
from mmvae.cli import jobs
from mmvae.foundations.progress import Progress
class Printed(Progress):
    def say(self, line):
        print(line, flush=True)
jobs.PROGRAM = (sys.executable, "-c", sys.argv[1])
jobs.Jobs(2, lambda row: [row], Printed()).run(["a", "b"])
"""


def test_rows_are_stopped_when_the_command_is_killed(tmp_path):
    words = [sys.executable, "-c", PARENT, ORPHAN]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, cwd=tmp_path) as parent:
        said = [parent.stdout.readline().split() for _ in range(2)]
        parent.kill()
    assert sorted((row, pipe) for row, _, pipe in said) == [("a:", "False"), ("b:", "False")]
    saved, patience = [tmp_path / "a", tmp_path / "b"], time.monotonic() + 60
    try:
        while not all(map(Path.exists, saved)) and time.monotonic() < patience:
            time.sleep(0.02)
        assert all(map(Path.exists, saved))
    finally:
        for _, number, _ in said:
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(number), signal.SIGKILL)


def test_a_row_that_says_no_more_works_to_its_end(monkeypatch):
    silent = row("import os, time; os.close(2); time.sleep(0.5)")
    monkeypatch.setattr(jobs, "PROGRAM", (sys.executable, "-c", silent))
    Jobs(1, lambda row: [row], Heard()).run(["a"])

"""SIGTERM and Ctrl-C save and stop, with their exit codes; a second Ctrl-C stops at once."""

from __future__ import annotations

import os
import signal
import threading
import time

import pytest
from trainings import assert_same_run, config, exit_code, forked, latest, resume, train

from mmvae.cli import main
from mmvae.foundations import staging
from mmvae.foundations.errors import Interrupted, Terminated
from mmvae.foundations.progress import Progress
from mmvae.foundations.signals import EXIT_CODES, StopRequests, terminable
from mmvae.runs.run import Run
from mmvae.training.checkpoint_policy import CheckpointPolicy

pytestmark = [
    pytest.mark.timeout(60),
    pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning"),
]

CASES = [(signal.SIGTERM, 75, "preempted"), (signal.SIGINT, 130, "stopped")]


class At(Progress):
    """Sends this process signals when the training record of a step comes."""

    def __init__(self, step, *numbers):
        self.step, self.numbers = step, numbers

    def record(self, record, total_steps, seconds_left):
        if (record["step"], record["split"]) == (self.step, "train"):
            for number in self.numbers:
                os.kill(os.getpid(), number)


@pytest.mark.parametrize(("number", "code", "state"), CASES)
def test_a_signal_ends_a_process_with_its_code_after_a_save(number, code, state, tmp_path):
    child = forked(lambda: train(tmp_path / "run", config(train={"epochs": 10**6})))
    while not (tmp_path / "run" / "metrics.jsonl").exists():
        time.sleep(0.02)
    os.kill(child, number)
    assert exit_code(child) == code
    status = Run.open(tmp_path / "run").status()
    assert (status.state, status.exit_code) == (state, code)
    assert latest(tmp_path / "run").step == status.step
    assert f"mmvae resume {tmp_path / 'run'}" in status.message


@pytest.mark.parametrize(("number", "code", "state"), CASES)
@pytest.mark.parametrize("step", [2, 5, 15])
def test_a_run_stopped_by_a_signal_ends_as_one_that_was_not(number, code, state, step, tmp_path):
    train(tmp_path / "whole", config())
    if step < 15:
        with pytest.raises(Interrupted, match=f"Stopped by {number.name} after step {step}, "):
            train(tmp_path / "run", config(), progress=At(step, number))
        status = Run.open(tmp_path / "run").status()
        assert (status.state, status.exit_code, status.step) == (state, code, step)
        assert status.epoch == step // 5 + 1
    else:  # it came when nothing was left to stop
        train(tmp_path / "run", config(), progress=At(step, number))
        assert Run.open(tmp_path / "run").status().state == "finished"
    resume(tmp_path / "run")
    assert_same_run(tmp_path / "run", tmp_path / "whole")


def test_a_second_ctrl_c_stops_at_once(tmp_path):
    settings = config(train={"checkpoint_every": 4})
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "run", settings, progress=At(6, signal.SIGINT, signal.SIGINT))
    status = Run.open(tmp_path / "run").status()
    assert (status.state, status.exit_code) == ("stopped", 130)
    assert latest(tmp_path / "run").step == 4
    resume(tmp_path / "run")
    train(tmp_path / "whole", settings)
    assert_same_run(tmp_path / "run", tmp_path / "whole")


def test_requests_are_remembered_and_handlers_put_back():
    before = {number: signal.getsignal(number) for number in EXIT_CODES}
    with StopRequests() as requests:
        assert requests.received is None
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGTERM)
        assert requests.received is signal.SIGTERM
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert {number: signal.getsignal(number) for number in EXIT_CODES} == before


def test_training_works_outside_the_main_thread(tmp_path):
    results = []
    thread = threading.Thread(
        target=lambda: results.append(train(tmp_path / "run", config(train={"epochs": 1})))
    )
    thread.start()
    thread.join()
    assert results[0].outcome == "finished"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_other_work_and_leaves_no_partial_file(number, tmp_path):
    signal.signal(number, signal.SIG_DFL)  # a shell may have started us with it ignored
    before = signal.getsignal(number)

    def work():
        with terminable(), staging.staged_file(tmp_path / "out.csv") as hidden:
            hidden.write_text("half")
            os.kill(os.getpid(), number)

    with pytest.raises(Terminated, match=f"stopped by {number.name}"):
        work()
    assert list(tmp_path.iterdir()) == []
    assert signal.getsignal(number) is before


def test_later_signals_do_not_break_into_the_cleaning(tmp_path):
    cleaned = []

    def work():
        with terminable():
            try:
                os.kill(os.getpid(), signal.SIGTERM)
            finally:
                os.kill(os.getpid(), signal.SIGTERM)
                cleaned.append(True)

    with pytest.raises(Terminated):
        work()
    assert cleaned == [True]


def test_a_hangup_that_is_ignored_stays_ignored():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with terminable(), StopRequests():
            os.kill(os.getpid(), signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_training_outlives_a_hangup(tmp_path):
    with terminable():
        result = train(tmp_path / "run", config(), progress=At(5, signal.SIGHUP))
    assert result.outcome == "finished"


def test_a_signal_while_a_training_prepares_leaves_an_honest_status(tmp_path, monkeypatch):
    def prepare(policy, checkpoint):
        os.kill(os.getpid(), signal.SIGTERM)

    train(tmp_path / "run", config(), max_steps=3)
    monkeypatch.setattr(CheckpointPolicy, "restore", prepare)
    with pytest.raises(Terminated), terminable():
        resume(tmp_path / "run")
    status = Run.open(tmp_path / "run").status()
    assert (status.state, status.exit_code, status.step) == ("preempted", 75, 3)


def test_the_command_line_ends_with_the_documented_code(monkeypatch, capsys):
    monkeypatch.setattr(main, "open_streams", lambda: None)
    monkeypatch.setattr(main.cli, "main", lambda *a, **k: os.kill(os.getpid(), signal.SIGTERM))
    with pytest.raises(SystemExit) as ended:
        main.main(["embed"])
    assert ended.value.code == 75
    assert capsys.readouterr().err == "stopped by SIGTERM.\n"

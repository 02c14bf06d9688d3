"""SIGTERM and Ctrl-C save and stop, with their exit codes; a second Ctrl-C stops at once."""

from __future__ import annotations

import os
import signal
import threading
import time

import pytest
from trainings import assert_same_run, config, exit_code, forked, latest, resume, train

from mmvae.errors import Interrupted
from mmvae.training.progress import Progress
from mmvae.training.run import Run
from mmvae.training.signals import EXIT_CODES, StopRequests

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

"""The run folder: made whole, held by one process, honest about what became of it."""

import errno
import json
import math
import os
import re
import signal
import subprocess
import sys
from datetime import UTC, datetime

import pytest

from mmvae.foundations import operations
from mmvae.foundations.errors import RunError, TrainingError
from mmvae.runs.metrics_log import MetricsLog, read_metrics
from mmvae.runs.run import Run
from mmvae.runs.run_place import default_folder

CONFIG = '[data]\nsource = "digits"  # as written, β\n'

pytestmark = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")


def create(folder):
    return Run.create(folder, CONFIG, "[data]\n", {"python": "3.11"}, {"images": "0.1"})


def in_child(action):
    """Run ``action`` in a forked child; return its exit code (99 for a RunError)."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            code = action() or 0
        except RunError:
            code = 99
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def test_importing_it_imports_no_torch():
    code = "import sys, mmvae.runs.run; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# --- making and opening


def test_a_new_run_holds_what_it_was_given(tmp_path):
    folder = tmp_path / "runs" / "digits" / "a"
    run = create(folder)
    assert run.config.read_text("utf-8") == CONFIG
    assert run.resolved.read_text() == "[data]\n"
    assert json.loads((folder / "env.json").read_text()) == {"python": "3.11"}
    assert json.loads((folder / "plugins.lock.json").read_text()) == {"images": "0.1"}
    assert Run.open(folder).folder == folder
    named = (run.log, run.metrics, run.report, run.figures, run.model, run.checkpoints)
    assert [p.relative_to(folder).name for p in named] == [
        "log.txt",
        "metrics.jsonl",
        "report.html",
        "figures",
        "model",
        "checkpoints",
    ]


def test_a_folder_with_a_run_or_anything_else_is_refused(tmp_path):
    create(tmp_path / "run")
    with pytest.raises(RunError, match="already holds a run. `mmvae resume .*run` restarts it"):
        create(tmp_path / "run")
    for name in ("config.toml", "thesis.tex", ".hidden"):
        folder = tmp_path / f"of {name}"
        folder.mkdir()
        (folder / name).write_text("precious")
        with pytest.raises(RunError, match=f"not empty and no run: it holds '{re.escape(name)}'"):
            create(folder)
        assert (folder / name).read_text() == "precious"
    (tmp_path / "file").touch()
    with pytest.raises(RunError, match="is a file"):
        create(tmp_path / "file")
    (tmp_path / "empty").mkdir()
    create(tmp_path / "empty")


def test_a_place_where_another_process_trains_is_in_use(tmp_path):
    run = create(tmp_path / "run")
    with run.locked():
        with pytest.raises(RunError, match=f"in use by pid {os.getpid()} on .*Choose") as told:
            create(tmp_path / "run")
    assert "resume" not in str(told.value)
    with pytest.raises(RunError, match="already holds a run"):
        create(tmp_path / "run")


def test_a_folder_that_is_no_run_cannot_be_opened(tmp_path):
    with pytest.raises(RunError, match="no run folder .*nowhere"):
        Run.open(tmp_path / "nowhere")
    with pytest.raises(RunError, match="is no run folder: it has no config.toml"):
        Run.open(tmp_path)


def test_making_a_run_that_fails_or_dies_anywhere_can_be_repeated(tmp_path, monkeypatch):
    class Died(BaseException):
        pass

    for kind in (Died(), OSError(errno.ENOSPC, "No space left on device")):
        for count in range(1, 100):
            folder = tmp_path / f"{type(kind).__name__}{count}" / "run"
            calls = []

            def fault(operation, *paths, calls=calls, count=count, kind=kind):
                calls.append(operation)
                if len(calls) >= count:
                    raise kind

            monkeypatch.setattr(operations, "fault", fault)
            try:
                create(folder)
            except (Died, TrainingError):
                monkeypatch.undo()
            else:
                break
            try:
                Run.open(folder)
            except RunError:
                Run.open(create(folder).folder)  # the same command again
        assert count > 20


def test_default_folders_tell_the_time_and_differ():
    one, two = default_folder("digits"), default_folder("digits")
    assert re.fullmatch(r"runs/digits/[0-9]{8}T[0-9]{6}Z-[0-9a-f]{6}", one.as_posix())
    assert one != two


# --- the lock


def test_a_second_process_is_refused_and_told_who_works_there(tmp_path):
    run = create(tmp_path)
    with run.locked():
        with run.locked():  # the same object may enter again
            pass
        assert in_child(lambda: Run.open(tmp_path).locked().__enter__()) == 99
        assert in_child(lambda: run.locked().__enter__()) == 99  # not by inheritance either
        with (
            pytest.raises(RunError, match=f"in use by pid {os.getpid()} on .*Wait until") as error,
            Run.open(tmp_path).locked(),
        ):
            pass
        assert error.value.exit_code == 2
    assert in_child(lambda: Run.open(tmp_path).locked().__enter__()) == 0
    with Run.open(tmp_path).locked():
        pass


def test_a_child_does_not_keep_the_lock(tmp_path):
    run = create(tmp_path)
    with run.locked():
        child = os.fork()
        if child == 0:
            signal.pause()
            os._exit(0)
        assert in_child(lambda: Run.open(tmp_path).locked().__enter__()) == 99
    try:
        with Run.open(tmp_path).locked():  # though a child of the holder lives
            pass
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def test_leaving_the_block_in_a_child_leaves_the_parents_lock(tmp_path):
    run = create(tmp_path)
    with run.locked():
        child = os.fork()
        if child != 0:
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 99
            assert in_child(lambda: Run.open(tmp_path).locked().__enter__()) == 99
    if child == 0:
        try:
            with run.locked():  # the parent holds it still, so this must be refused
                os._exit(0)
        except RunError:
            os._exit(99)
    with run.locked():
        pass


def test_kill_9_frees_the_lock_and_the_status_says_killed(tmp_path):
    create(tmp_path)
    code = (
        "import sys, time, pathlib\nfrom mmvae.runs.run import Run\n"
        "run = Run.open(pathlib.Path(sys.argv[1]))\n"
        "with run.locked():\n"
        "    run.write_status('running', step=7, epoch=2)\n"
        "    (run.folder / '.latest.1.partial').touch()\n"
        "    print('ready', flush=True)\n    time.sleep(60)\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "ready\n"
        run = Run.open(tmp_path)
        status = run.status()
        assert (status.state, status.step, status.epoch) == ("running", 7, 2)
        assert status.pid == process.pid
        with pytest.raises(RunError, match=f"pid {process.pid} on "), run.locked():
            pass
        process.kill()
    assert run.status().state == "killed"
    with run.locked():
        assert run.status().state == "running"
        assert not (tmp_path / ".latest.1.partial").exists()


# --- the status


def test_the_status_says_how_it_ended(tmp_path):
    run = create(tmp_path)
    before = datetime.now(UTC)
    run.write_status("preempted", step=12, epoch=3, exit_code=75, message="resume me")
    status = run.status()
    assert status.model_dump(include={"state", "step", "epoch", "exit_code", "message"}) == {
        "state": "preempted",
        "step": 12,
        "epoch": 3,
        "exit_code": 75,
        "message": "resume me",
    }
    assert status.pid == os.getpid()
    assert before <= status.updated <= datetime.now(UTC)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"state": "running"}', "\xff"])
def test_a_damaged_status_is_named(tmp_path, text):
    run = create(tmp_path)
    (tmp_path / "status.json").write_text(text, "latin-1")
    with pytest.raises(RunError, match=r"status\.json cannot be read"):
        run.status()


# --- the metrics


def test_metrics_come_back_non_finite_ones_included(tmp_path):
    path = tmp_path / "metrics.jsonl"
    records = [
        {"step": 1, "loss": 0.1 + 0.2, "split": "train"},
        {"step": 2, "loss": math.inf, "terms": {"kl": -math.inf, "list": [1.5, math.inf]}},
    ]
    with MetricsLog(path) as log:
        for record in records:
            log.append(record)
        log.append({"loss": math.nan})
        log.flush()
        assert log.offset == path.stat().st_size
    *same, last = read_metrics(path)
    assert same == records
    assert math.isnan(last["loss"])

    def strict(name):
        raise AssertionError(f"{name} is no JSON")

    for line in path.read_text().splitlines():
        json.loads(line, parse_constant=strict)


def test_a_resumed_log_equals_one_that_was_never_stopped(tmp_path):
    for name, stops in (("straight", ()), ("stopped", (3, 7))):
        with MetricsLog(tmp_path / name) as log:
            for step in range(10):
                if step in stops:  # more was written after the checkpoint, the last line torn
                    offset = log.offset
                    log.append({"step": "beyond"})
                    log.close()
                    with (tmp_path / name).open("ab") as file:
                        file.write(b'{"step": "tor')
                    log.__init__(tmp_path / name)
                    log.truncate(offset)
                log.append({"step": step})
    assert (tmp_path / "stopped").read_bytes() == (tmp_path / "straight").read_bytes()


def test_a_log_that_the_checkpoint_does_not_know_is_refused(tmp_path):
    with MetricsLog(tmp_path / "m") as log:
        log.append({"step": 1})
        for offset in (3, log.offset + 1):
            with pytest.raises(RunError, match=f"knows {offset} bytes of .*m, which has"):
                log.truncate(offset)


def test_reading_forgives_a_torn_last_line_and_names_other_damage(tmp_path):
    path = tmp_path / "metrics.jsonl"
    for torn in (b'{"a": 2', b"\0\0\0\0", b'{"a": 2}', b"\xff"):
        path.write_bytes(b'{"a": 1}\n' + torn)
        assert read_metrics(path) == [{"a": 1}]
    for bad in (b'{"a": \n', b"[1]\n", b"\xff\n", b"\n"):
        path.write_bytes(b'{"a": 1}\n' + bad + b'{"a": 3}\n')
        with pytest.raises(RunError, match=r"metrics\.jsonl, line 2 is damaged"):
            read_metrics(path)
    with pytest.raises(RunError, match="nothing cannot be read"):
        read_metrics(tmp_path / "nothing")


def test_the_lock_removes_what_a_killed_training_left_of_its_checkpoints(tmp_path):
    run = create(tmp_path / "run")
    left = run.checkpoints / ".step-00000001.0123456789abcdef.0123456789ab.partial"
    left.mkdir(parents=True)
    with run.results_locked():
        assert left.exists()
    with run.locked():
        assert not left.exists()


def test_training_and_evaluation_hold_the_run_at_the_same_time(tmp_path):
    """Neither removes what the other is writing."""
    run = create(tmp_path)
    with Run.open(tmp_path).results_locked():
        (tmp_path / ".evaluation.json.1.partial").touch()
        (tmp_path / ".figures.1.partial").mkdir()
        with run.locked():
            (tmp_path / ".latest.1.partial").touch()
            with pytest.raises(RunError, match="in use by pid"), run.results_locked():
                pass
        assert (tmp_path / ".evaluation.json.1.partial").exists()
        assert (tmp_path / ".figures.1.partial").exists()
    with run.results_locked():  # now they are what a killed evaluation left
        assert not list(tmp_path.glob(".[ef]*.partial"))
        assert (tmp_path / ".latest.1.partial").exists()

"""Two processes act as one: same gradient, same order, one writer, and they end together."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from trainings import latest, losses, resume, train

from mmvae.runs.checkpoint_store import CheckpointStore
from mmvae.runs.run import Run

pytestmark = pytest.mark.timeout(120)

HERE = Path(__file__).parent
FAMILIES = ["singletons", "drawn trunks", "drawn heads"]


@contextlib.contextmanager
def torchrun(action, folder):
    """Two processes that do ``action``; whatever happens, none outlives the block."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command += ["--nproc-per-node", "2", str(HERE / "parallel.py"), action, str(folder)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        command, env=environment, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        process.stderr.close()


def parallel(action, folder):
    """Do ``action`` in two processes; return their common exit code and what they said."""
    with torchrun(action, folder) as process:
        said = process.communicate(timeout=100)[1]
        return process.returncode, said


@pytest.fixture(scope="module")
def alone():
    """``parallel.py`` in this process."""
    import importlib.util

    spec = importlib.util.spec_from_file_location("parallel", HERE / "parallel.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def both(alone, tmp_path_factory):
    """What two processes measured and trained."""
    folder = tmp_path_factory.mktemp("both")
    train(folder / "one", alone.settings("singletons", ema=0.9), max_steps=4)
    (folder / "taken").mkdir()
    (folder / "taken" / "thesis.tex").write_text("precious")
    code, said = parallel("measure", folder)
    assert code == 0, said
    assert "Warning" not in said
    return folder


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("parts", [1, 4])
def test_the_gradient_is_that_of_one_process(family, parts, alone, both, tmp_path):
    one = alone.measured(family, tmp_path)
    for rank in (0, 1):
        found = load_file(both / f"{family}-{parts}-{rank}.safetensors")
        for batch in ("full", "small", "one"):
            expected = one[f"{batch}/gradient"]
            assert (found[f"{batch}/gradient"] - expected).norm() < 1e-6 * expected.norm()
            assert torch.equal(found[f"{batch}/unused"], one[f"{batch}/unused"])


@pytest.mark.parametrize("parts", [1, 4])
def test_the_order_of_items_is_that_of_one_process(parts, alone, both, tmp_path):
    one = alone.measured("singletons", tmp_path)
    ranks = [load_file(both / f"singletons-{parts}-{rank}.safetensors") for rank in (0, 1)]
    assert [r["full/share"].tolist() for r in ranks] == [[0, 2], [1, 2]]
    assert torch.equal(torch.cat([r["full/items"] for r in ranks]), one["full/items"])


@pytest.mark.parametrize("family", FAMILIES)
def test_the_validation_is_that_of_one_process_however_it_is_cut(family, alone, both, tmp_path):
    one = alone.measured(family, tmp_path)
    for rank in (0, 1):
        found = load_file(both / f"{family}-1-{rank}.safetensors")
        for size in (20, 7, 1):
            key = f"validation/{size}"
            torch.testing.assert_close(found[key], one[key], rtol=1e-6, atol=1e-6)


def test_the_cells_of_an_evaluation_are_those_of_one_process_in_the_same_order(
    alone, both, tmp_path
):
    """Each process computes some shards; the leading one alone has and keeps the result."""
    shutil.copytree(both / "one", tmp_path / "one")
    result = alone.evaluate(tmp_path / "one", overrides=alone.EVALUATED, registry=alone.registry())
    assert json.loads((both / "evaluated-0").read_text()) == sorted(result["cells"])
    assert json.loads((both / "evaluated-1").read_text()) == []
    kept = json.loads((both / "one" / "evaluation.json").read_text())
    assert kept["cells"].keys() == result["cells"].keys()
    ours = load_file(both / "one" / "evaluation.items.safetensors")
    theirs = load_file(tmp_path / "one" / "evaluation.items.safetensors")
    for name, nats in theirs.items():
        torch.testing.assert_close(ours[name], nats, rtol=1e-5, atol=1e-5)
    assert not (both / "one" / "evaluation.parts").exists()


@pytest.mark.parametrize("family", FAMILIES)
def test_two_processes_end_where_one_does(family, alone, both, tmp_path):
    train(tmp_path / "run", alone.settings(family, checkpoint_every=2, ema=0.9))
    ours, theirs = latest(both / family), latest(tmp_path / "run")
    assert ours.step == theirs.step == 6
    for name, value in theirs.tensors["model"].items():
        torch.testing.assert_close(ours.tensors["model"][name], value, rtol=1e-4, atol=1e-5)
    assert losses(both / family) == pytest.approx(losses(tmp_path / "run"), rel=1e-5)


def test_one_process_writes(both):
    run = Run.open(both / "singletons")
    assert run.status().state == "finished"
    lines = (both / "singletons" / "metrics.jsonl").read_text().splitlines()
    records = [(r["step"], r["split"]) for r in map(json.loads, lines)]
    assert len(records) == len(set(records))
    assert len(CheckpointStore(run.checkpoints).intact()) == 2
    assert not [path for path in run.folder.rglob("*.partial")]


def test_runs_go_on_across_numbers_of_processes(alone, both, tmp_path):
    train(tmp_path / "whole", alone.settings("singletons", ema=0.9))
    resume(both / "resumed")
    for folder in (both / "one", both / "resumed"):
        assert latest(folder).step == 6
        assert losses(folder) == pytest.approx(losses(tmp_path / "whole"), rel=1e-5)
        for name, value in latest(tmp_path / "whole").tensors["model"].items():
            torch.testing.assert_close(
                latest(folder).tensors["model"][name], value, rtol=1e-4, atol=1e-5
            )


def test_a_modality_that_one_process_or_all_lack_neither_breaks_nor_hangs(alone, tmp_path):
    code, said = parallel("gaps", tmp_path)
    assert code == 0, said
    for kind in alone.HAS_MISSING:
        one = alone.gap_gradients(kind, tmp_path)
        for rank in (0, 1):
            found = load_file(tmp_path / f"{kind}-{rank}.safetensors")
            for name, value in one.items():
                torch.testing.assert_close(found[name], value, rtol=1e-4, atol=1e-5)


def test_a_prior_begins_alike_on_all_processes(alone, tmp_path, monkeypatch):
    code, said = parallel("begin", tmp_path)
    assert code == 0, said
    monkeypatch.setattr(alone.PlainFamily, "head", alone.PlainFamily.head)
    one = alone.begun(tmp_path / "one")
    assert bool(one.all())
    for rank in (0, 1):
        found = load_file(tmp_path / f"{rank}.safetensors")["bias"]
        torch.testing.assert_close(found, one, rtol=1e-4, atol=1e-5)


def test_processes_with_unequal_data_are_told(alone, tmp_path):
    code, said = parallel("unequal", tmp_path)
    assert code == 0, said
    for name in alone.UNEQUAL:
        for rank in (0, 1):
            message = (tmp_path / f"{name}-{rank}").read_text()
            assert message.startswith("2: The processes have different data: this one has some (")
        assert not (tmp_path / name).exists()
    assert "(59 train)" in (tmp_path / "fewer items-1").read_text()


def test_a_failure_on_one_process_ends_both_within_a_minute(tmp_path):
    code, said = parallel("fail", tmp_path)
    seconds = time.time() - json.loads((tmp_path / "failed").read_text())
    assert code != 0
    assert seconds < 60
    assert "a bug on one process" in said
    assert [p.name for p in CheckpointStore(tmp_path / "run" / "checkpoints").intact()] == [
        "step-00000005",
        "step-00000010",
    ]
    assert Run.open(tmp_path / "run").status().state in ("failed", "preempted", "killed")
    print(f"both ended {seconds:.1f} s after the failure")


def test_both_learn_that_a_folder_is_taken(both):
    assert (both / "refused-0").read_text().startswith("2: ")
    assert "thesis.tex" in (both / "refused-0").read_text()
    assert "Another process failed" in (both / "refused-1").read_text()
    assert [path.name for path in (both / "taken").iterdir()] == ["thesis.tex"]


def test_sigterm_saves_once_and_ends_both(tmp_path):
    with torchrun("forever", tmp_path) as process:
        metrics = tmp_path / "run" / "metrics.jsonl"
        deadline = time.monotonic() + 60
        while not (metrics.exists() and metrics.read_bytes().count(b"\n") > 5):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
        assert process.returncode != 0
    status = Run.open(tmp_path / "run").status()
    assert (status.state, status.exit_code) == ("preempted", 75)
    saved = CheckpointStore(tmp_path / "run" / "checkpoints").intact()
    assert [int(path.name[5:]) for path in saved] == [status.step]

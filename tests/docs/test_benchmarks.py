"""The benchmarks of examples run, and compare what they say they compare."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from mmvae.experiments.study.record import read_records
from mmvae.experiments.study.study import load_study

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.mark.parametrize(
    "command", [("mnist.py",), ("faces.py",), ("faces.py", "--adversary")], ids=" ".join
)
def test_an_example_equals_the_handwritten_loop(command: tuple[str, ...]) -> None:
    script, *options = command
    run = [sys.executable, str(BENCHMARKS / script), *options]
    run += ["--synthetic", "--rounds", "1", "--steps", "1"]
    done = subprocess.run(run, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
    parameters = re.search(r"mmvae ([\d,]+) +hand-written ([\d,]+)", done.stdout)
    assert parameters is not None
    assert parameters[1] == parameters[2]
    difference = re.search(r"first five losses +differ by at most (\S+)", done.stdout)
    assert difference is not None
    assert float(difference[1]) < 1e-4
    assert "of the matrix-product rate" in done.stdout
    assert "ratio" in done.stdout


@pytest.mark.parametrize("script", ["handwritten.py", "handwritten_faces.py"])
def test_a_handwritten_loop_uses_nothing_of_mmvae(script: str) -> None:
    text = (BENCHMARKS / script).read_text(encoding="utf-8")
    assert not re.search(r"^\s*(import|from) mmvae", text, re.MULTILINE)


STUDY = """
title = "Three"
rows = ["row.toml"]
elsewhere = ["multivae-jmvae"]
schedules.full = {}
[[tables]]
title = "Coherence"
coherence = "label"
"""
ROW = """
[data]
source = "digits"
[modalities.image]
codec = "gaussian-conv-image"
channels_hidden = [4]
dense = 8
[modalities.label]
codec = "categorical"
[model]
latent_dim = 3
[train]
epochs = 2
batch_size = 100
warmup_steps = 10
schedule = "cosine"
device = "cpu"
"""
RUN = """
import runpy, sys
sys.path.insert(0, sys.argv.pop(1))
import fake_multivae
fake_multivae.install()
runpy.run_path(sys.argv.pop(1), run_name="__main__")
"""


def test_the_row_of_another_library_is_kept_where_the_study_looks_for_it(tmp_path: Path) -> None:
    """With a stand-in for MultiVae, which is no dependency: all but its own training."""
    pytest.importorskip("sklearn", reason="scikit-learn carries the digits: pip install it")
    study, results = tmp_path / "study.toml", tmp_path / "results"
    study.write_text(STUDY, encoding="utf-8")
    (tmp_path / "row.toml").write_text(ROW, encoding="utf-8")
    script = str(BENCHMARKS / "multivae_jmvae.py")
    run = [sys.executable, "-c", RUN, str(Path(__file__).parent), script, str(study)]
    run += ["--like", "row", "--results", str(results), "--work", str(tmp_path / "work")]
    done = subprocess.run(run, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
    [kept] = read_records(results, load_study(study))["full"]
    items = kept.data["items"]["train"]
    assert f"{items} items, 2 epochs" in done.stdout
    assert (kept.row, kept.epochs, kept.steps) == ("multivae-jmvae", 2, 2 * -(-items // 100))
    assert kept.versions["multivae"] == "0"
    assert 'kind = "multivae-jmvae"' in kept.config

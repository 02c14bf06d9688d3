"""The benchmarks of examples run, and compare what they say they compare."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

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

"""The benchmark of examples/mnist.toml runs, and compares what it says it compares."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "mnist.py"


def test_mnist_equals_the_handwritten_loop() -> None:
    command = [sys.executable, str(SCRIPT), "--synthetic", "--rounds", "1", "--steps", "1"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
    parameters = re.search(r"mmvae ([\d,]+) +hand-written ([\d,]+)", done.stdout)
    assert parameters is not None
    assert parameters[1] == parameters[2]
    difference = re.search(r"first five losses +differ by at most (\S+)", done.stdout)
    assert difference is not None
    assert float(difference[1]) < 1e-4
    assert "of the matrix-product rate" in done.stdout
    assert "ratio" in done.stdout


def test_the_handwritten_loop_uses_nothing_of_mmvae() -> None:
    text = SCRIPT.with_name("handwritten.py").read_text(encoding="utf-8")
    assert not re.search(r"^\s*(import|from) mmvae", text, re.MULTILINE)

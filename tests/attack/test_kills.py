"""A part of kill_commands.py: commands that are killed leave what was there, and are repeated."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from mmvae.plugins.loader import load_registry

ATTACK = Path(__file__).with_name("kill_commands.py")


@pytest.mark.timeout(900)
def test_killed_commands_are_repeated_as_if_nothing_had_been() -> None:
    if "bernoulli-image" not in load_registry().kinds("codec"):
        pytest.skip("the plugin of the digits' pictures is disabled")
    commands = ("resume", "embed", "impute")
    only = [word for command in commands for word in ("--only", command)]
    words = [sys.executable, str(ATTACK), "--count", "2", "--seed", "1", *only]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("0 faults") == len(commands) + 1

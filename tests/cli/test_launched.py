"""A launched process ends with its code and what it printed, without anything after that."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

SCRIPT = """
import atexit, sys
from mmvae.cli.launched import end_launched
atexit.register(lambda: print("later"))
print("said")
end_launched(75)
sys.exit(3)
"""


@pytest.mark.parametrize(
    ("world", "code", "said"), [("2", 75, ["said"]), ("1", 3, ["said", "later"])]
)
def test_only_a_process_of_several_ends_at_once(world, code, said) -> None:
    environment = os.environ | {"WORLD_SIZE": world, "RANK": "0", "MASTER_ADDR": "localhost"}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout.split()) == (code, said)

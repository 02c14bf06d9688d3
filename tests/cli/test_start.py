"""Signals while a command starts and ends: one line and an exit code, never a traceback."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

BEGIN = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGTERM, signal.SIG_DFL)
signal.signal(signal.SIGHUP, signal.SIG_DFL)
from mmvae.cli.start import main

def send():
    os.kill(os.getpid(), {number})
"""

IMPORTING = """
class Sending:
    def find_spec(self, name, *more):
        if name == "mmvae.cli.main":
            send()

sys.meta_path.insert(0, Sending())
main()
"""

TORCH = """
import os

try:
    os.kill(os.getpid(), {number})
    "the signal's handler is called here"
except BaseException:  # as C++ code that does not expect one
    os.abort()
"""

ENDING = """
import atexit, types

class AtTheEnd:
    def __del__(self):
        send()

def command_line():
    raise SystemExit(3)

kept = AtTheEnd()
if "atexit" in sys.argv:
    atexit.register(send)
sys.modules["mmvae.cli.main"] = types.ModuleType("mmvae.cli.main")
sys.modules["mmvae.cli.main"].main = command_line
try:
    main()
finally:
    if "finally" in sys.argv:
        send()
"""

SIGNALS = [
    (signal.SIGINT, 130, "error: interrupted.\n"),
    (signal.SIGTERM, 75, "stopped by SIGTERM.\n"),
    (signal.SIGHUP, 75, "stopped by SIGHUP.\n"),
]


def run(program: str, number: int, *args: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", BEGIN.format(number=int(number)) + program, *args],
        capture_output=True,
        text=True,
        env={**os.environ, **environ},
        timeout=60,
    )


@pytest.mark.parametrize(("number", "code", "line"), SIGNALS)
def test_a_signal_while_the_command_line_is_imported(number, code, line) -> None:
    done = run(IMPORTING, number, "info")
    assert (done.returncode, done.stderr) == (code, line)


@pytest.mark.parametrize(("number", "code", "line"), SIGNALS)
def test_a_signal_while_torch_is_imported_does_not_abort(number, code, line, tmp_path) -> None:
    (tmp_path / "torch").mkdir()
    (tmp_path / "torch" / "__init__.py").write_text(TORCH.format(number=int(number)))
    path = os.pathsep.join(filter(None, [str(tmp_path), os.environ.get("PYTHONPATH", "")]))
    done = run("main()", number, "embed", "run", "test", "--out", "a.csv", PYTHONPATH=path)
    assert (done.returncode, done.stderr) == (code, line)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("when", ["finally", "atexit", "teardown"])
def test_a_signal_after_the_command_keeps_its_exit_code(number, when) -> None:
    done = run(ENDING, number, when)
    assert (done.returncode, done.stderr) == (3, "")


def test_an_ignored_signal_stays_ignored(tmp_path: Path) -> None:
    program = f"signal.signal(signal.SIGHUP, signal.SIG_IGN)\n{IMPORTING}"
    done = run(program, signal.SIGHUP, "--version")
    assert (done.returncode, done.stderr) == (0, "")

"""Standard streams: whatever the process was started with, no traceback and no lost training."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import pytest

MMVAE = [sys.executable, "-c", "'from mmvae.cli.main import main; main()'"]


def shell(redirection: str, *args: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run mmvae under a redirection of the shell's."""
    line = " ".join([*MMVAE, *args, redirection])
    return subprocess.run(
        ["sh", "-c", line], capture_output=True, text=True, env={**os.environ, **environ}
    )


@pytest.mark.parametrize(
    ("redirection", "reason"), [(">/dev/full", "No space left"), (">&-", "Bad file descriptor")]
)
def test_results_that_cannot_be_written_end_with_one_line(redirection, reason) -> None:
    done = shell(redirection, "--help")
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert f"standard output cannot be written: {reason}" in done.stderr


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("redirection", [">/dev/full", ">&-", ">&- 2>&-"])
@pytest.mark.parametrize("wanted", ["bash_source", "bash_complete"])
def test_shell_completion_that_cannot_be_written_ends_with_one_line(
    redirection, wanted, unbuffered
) -> None:
    words = {"COMP_WORDS": "mmvae tr", "COMP_CWORD": "1", "PYTHONUNBUFFERED": unbuffered}
    done = shell(redirection, _MMVAE_COMPLETE=wanted, **words)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert len(done.stderr.splitlines()) == (0 if "2>" in redirection else 1)


@pytest.mark.parametrize("redirection", ["2>&-", "2>/dev/full"])
def test_remarks_that_cannot_be_written_change_no_result(redirection) -> None:
    whole = shell("", "--version")
    done = shell(redirection, "--version")
    assert (done.returncode, done.stdout) == (0, whole.stdout)
    assert shell(redirection, "nothing").returncode == 2


def test_no_file_takes_the_place_of_a_closed_stream() -> None:
    program = (
        "from mmvae.cli.streams import open_streams; open_streams(); "
        "import os, tempfile; file = tempfile.TemporaryFile(); os._exit(file.fileno() > 2)"
    )
    done = subprocess.run(["sh", "-c", f'{sys.executable} -c "{program}" <&- >&- 2>&-'])
    assert done.returncode == 1


def test_text_that_the_encoding_lacks_is_escaped() -> None:
    program = (
        "from mmvae.cli.streams import open_streams; open_streams(); "
        "from mmvae.cli.options import print_json; print('β'); print_json({'name': 'β😀'})"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        env={"PYTHONIOENCODING": "latin-1", "PATH": ""},
    )
    assert done.returncode == 0, done.stderr
    first, rest = done.stdout.decode("latin-1").split("\n", 1)
    assert first == "\\u03b2"
    assert json.loads(rest) == {"name": "β😀"}


TRAINING = """
from mmvae.foundations.signals import StopRequests, terminable
with terminable(), StopRequests() as requests:
    while requests.received is None:
        print("progress " * 100, file=sys.stderr)
    print("Stopped.", file=sys.stderr)
    sys.exit(75)
"""

INTERRUPTED_TWICE = """
from mmvae.foundations.signals import StopRequests, interrupt
signal.signal(signal.SIGINT, interrupt)
try:
    with StopRequests():
        while True:
            print("progress " * 100, file=sys.stderr)
except KeyboardInterrupt:
    print("interrupted", file=sys.stderr)
    sys.exit(130)
"""

PRINTING = """
from mmvae.cli import main
def printing(*given, **keys):
    while True:
        print("result " * 100)
main.cli.main = printing
main.main([])
"""


@pytest.mark.parametrize(
    ("work", "stalled", "numbers", "code", "unbuffered"),
    [
        (TRAINING, "stderr", [signal.SIGTERM], 75, ""),
        (TRAINING, "stderr", [signal.SIGINT], 75, "1"),
        (INTERRUPTED_TWICE, "stderr", [signal.SIGINT, signal.SIGINT], 130, ""),
        (PRINTING, "stdout", [signal.SIGTERM], 1, ""),
        (PRINTING, "stdout", [signal.SIGTERM], 1, "1"),
    ],
)
def test_a_reader_that_has_stalled_holds_no_signal_up(
    work: str, stalled: str, numbers: list[signal.Signals], code: int, unbuffered: str
) -> None:
    begin = (
        "import signal, sys\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from mmvae.cli.streams import open_streams; open_streams()\n"
        "print(1, file=sys.stderr, flush=True)\n"
    )
    streams = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
    streams[stalled] = subprocess.PIPE
    environ = {**os.environ, "PYTHONUNBUFFERED": unbuffered}
    with subprocess.Popen([sys.executable, "-c", begin + work], env=environ, **streams) as child:
        try:
            assert child.stderr is not None
            child.stderr.read(1)
            for number in numbers:
                time.sleep(0.7)  # it fills the pipe, and waits
                assert child.poll() is None
                child.send_signal(number)
            assert child.wait(20) == code
        finally:
            child.kill()


def test_a_reader_that_is_slow_gets_all() -> None:
    program = (
        "from mmvae.cli.streams import open_streams; open_streams(); "
        "[print(i, 'β' * 5000) for i in range(100)]"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        time.sleep(0.5)
        lines = child.stdout.read().decode().splitlines()
    assert lines == [f"{i} {'β' * 5000}" for i in range(100)]
    assert child.returncode == 0

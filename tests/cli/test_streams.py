"""Standard streams: whatever the process was started with, no traceback and no lost training."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

MMVAE = [sys.executable, "-c", "'from mmvae.cli.main import main; main()'"]


def shell(redirection: str, *args: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run mmvae under a redirection of the shell's."""
    import os

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

"""Start of a training on several processes by torchrun, with our own exit code as the result."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from mmvae.foundations.errors import RunError

FORWARDED = (signal.SIGINT, signal.SIGTERM)


def torchrun(arguments: Sequence[str], command: Sequence[str], run: Path) -> int:
    """Run ``mmvae COMMAND`` under torchrun until it ends.

    SIGINT and SIGTERM are passed to torchrun, which passes them once to every process: it has a
    session of its own, so that the terminal does not signal it too.

    Args:
        arguments: torchrun's own, such as ``--nproc-per-node 2``.
        command: The arguments of mmvae.
        run: The run's folder, whose status records how the training ended.

    Returns:
        The exit code of the training if the run recorded it, else torchrun's.
    """
    launcher = [sys.executable, "-m", "torch.distributed.run", *arguments]
    before = {number: signal.getsignal(number) for number in FORWARDED}
    process = subprocess.Popen([*launcher, "-m", "mmvae", *command], start_new_session=True)

    def forward(number: int, frame: FrameType | None) -> None:
        process.send_signal(number)

    try:
        for number in FORWARDED:
            signal.signal(number, forward)
        code = process.wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    return code if code == 0 else stored_exit_code(run, code)


def stored_exit_code(run: Path, code: int) -> int:
    """The exit code in a run's status, or ``code`` if there is none."""
    from mmvae.runs.run import Run

    try:
        stored = Run.open(run).status().exit_code
    except RunError:  # it ended before there was a run; the processes have reported why
        stored = None
    return stored or max(code, 1)

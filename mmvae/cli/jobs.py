"""Concurrent rows of a study, each in a process of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from mmvae.foundations.errors import Interrupted, MmvaeError, Terminated, TrainingError, UsageError
from mmvae.foundations.progress import Progress

THREADS = "OMP_NUM_THREADS"

ROW = """
from mmvae.cli.jobs import end_with_parent
end_with_parent()
from mmvae.cli.start import main
main()
"""

PROGRAM = (sys.executable, "-c", ROW)


class Jobs:
    """Processes that each work on one row, a few at a time.

    Args:
        jobs: Number of processes at a time.
        command: Gives the arguments of ``mmvae`` for a row.
        progress: Gets each line that a process writes to standard error, after its row's name.
    """

    def __init__(
        self, jobs: int, command: Callable[[str], Sequence[str]], progress: Progress
    ) -> None:
        self.jobs, self.command, self.progress = jobs, command, progress
        self._running: dict[str, subprocess.Popen[str]] = {}
        self._last: dict[str, str] = {}
        self._stopped: int | None = None
        self._lock = threading.Lock()

    def run(self, rows: Sequence[str]) -> None:
        """Work on all rows; one that fails does not stop the others.

        Ctrl-C and SIGTERM are passed to every process, which saves and ends; rows that have not
        begun are not started.

        Raises:
            Interrupted: A signal came.
            MmvaeError: A row failed; its class and exit code are those of the first one.
        """
        with ThreadPoolExecutor(self.jobs) as pool:
            waiting = [pool.submit(self._work, row) for row in rows]
            try:
                codes = {row: w.result() for row, w in zip(rows, waiting, strict=True)}
            except (KeyboardInterrupt, Terminated) as error:
                asked = signal.SIGINT if isinstance(error, KeyboardInterrupt) else signal.SIGTERM
                self.stop(asked)
                pool.shutdown()
                code = error.exit_code if isinstance(error, Terminated) else 130
                raise Interrupted("every row was stopped and saved.", code) from None
        failed = {row: code for row, code in codes.items() if code}
        if failed:
            row, code = next(iter(failed.items()))
            others = f" Failed too: {', '.join(list(failed)[1:])}." if len(failed) > 1 else ""
            message = self._last.get(row, "").removeprefix("error: ")
            raise failure(code)(f"row {row} failed with exit code {code}: {message}{others}")

    def stop(self, number: signal.Signals) -> None:
        """Send a signal to every process, and start no other."""
        with self._lock:
            self._stopped = number
            for process in self._running.values():
                process.send_signal(number)

    def _work(self, row: str) -> int:
        """Run the process of one row to its end; return its exit code."""
        with self._lock:
            if self._stopped is not None:
                return 0
            process = subprocess.Popen(
                [*PROGRAM, *self.command(row)],
                env={THREADS: str(threads(self.jobs)), **os.environ},
                stdin=subprocess.PIPE,  # which ends with us
                stdout=subprocess.DEVNULL,  # its table; the caller prints that of all rows
                stderr=subprocess.PIPE,
                text=True,
                errors="replace",
                start_new_session=True,  # Ctrl-C reaches it through us alone
            )
            self._running[row] = process
        assert process.stderr is not None
        with process:
            for line in process.stderr:
                self._last[row] = line.rstrip()
                self.progress.say(f"{row}: {line.rstrip()}")
            process.wait()  # before its standard input is closed
        with self._lock:
            del self._running[row]
        return process.returncode


def end_with_parent() -> None:
    """Send this process a SIGTERM when its standard input, a pipe, ends: its parent is gone."""

    def follow(pipe: int) -> None:
        while os.read(pipe, 1):
            pass
        os.kill(os.getpid(), signal.SIGTERM)

    pipe = os.dup(0)
    with open(os.devnull, "rb") as nothing:
        os.dup2(nothing.fileno(), 0)
    threading.Thread(target=follow, args=(pipe,), daemon=True).start()


def threads(jobs: int) -> int:
    """Number of threads of each of several processes that share the cores of this machine."""
    try:
        cores = len(os.sched_getaffinity(0))
    except AttributeError:  # not on every system
        cores = os.cpu_count() or 1
    return max(1, cores // jobs)


def failure(code: int) -> type[MmvaeError]:
    """The class of error for an exit code."""
    return UsageError if code == UsageError.exit_code else TrainingError

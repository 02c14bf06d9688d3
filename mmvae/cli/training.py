"""The common part of ``train`` and ``resume``: limits, progress, and the end."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, TypeVar

import click

from mmvae.cli.duration import Duration
from mmvae.cli.options import echo, leading, verbosity
from mmvae.foundations.errors import Interrupted, OutputError
from mmvae.foundations.signals import outliving_hangups

if TYPE_CHECKING:
    from mmvae.experiments.session import Result
    from mmvae.foundations.progress import Progress


F = TypeVar("F", bound=Callable[..., Any])


def limit_options(command: F) -> F:
    """Add ``--max-steps`` and ``--max-time``, passed as ``max_steps`` and ``max_seconds``."""
    steps = click.option(
        "--max-steps", type=click.IntRange(min=1), help="Stop after this many steps in total."
    )
    time = click.option(
        "--max-time",
        "max_seconds",
        type=Duration(),
        metavar="TIME",
        help="Save and stop after this time: 1h30m, 45m, 90s.",
    )
    return steps(time(command))


def progress() -> Progress:
    """Progress on standard error, as the options say."""
    from mmvae.training.progress import progress_for

    return progress_for(sys.stderr, verbosity().quiet or not leading())


@contextmanager
def stopped_together() -> Iterator[None]:
    """Let only the main process print how a signal stopped all; each has the exit code.

    A hangup stops nothing: the training continues, and its log has the lines that the terminal
    cannot show.
    """
    try:
        with outliving_hangups():
            yield
    except Interrupted as error:
        if leading():
            raise
        raise SystemExit(error.exit_code) from None


def conclude(result: Result) -> None:
    """Print the last line: the run folder and what to do next."""
    if not leading() or result.run is None:
        return
    folder = shlex.quote(str(result.run))
    if result.outcome == "finished":
        line = f"finished at step {result.steps}. Next: mmvae evaluate {folder}"
    else:
        line = f"stopped after step {result.steps}. Resume with: mmvae resume {folder}"
    with suppress(OutputError):  # the training is done, and its log says so
        echo(f"{result.run}: {line}")

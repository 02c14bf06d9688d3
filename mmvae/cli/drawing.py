"""The common part of commands that draw a figure, the core's and plugins': options, runs, file."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from mmvae.cli.options import echo, json_option, print_json, say, set_option
from mmvae.cli.outputs import refuse_input
from mmvae.cli.progress import shown_progress
from mmvae.data.split_names import SPLITS
from mmvae.foundations import storage
from mmvae.foundations.errors import UsageError

if TYPE_CHECKING:
    from mmvae.report.canvas import Picture
    from mmvae.report.subject import Subject


F = TypeVar("F", bound=Callable[..., Any])

PNG = ".png"

OPENED = "mmvae.opened"
"""Key of the runs that a command opened, in the ``meta`` of its click context."""


class PngFile(click.ParamType[Path]):
    """A PNG file to write, refused at once if it cannot be written."""

    name = "file"

    def convert(self, value: Any, param: Any, ctx: click.Context | None) -> Path:
        """Check ending and folder."""
        path = storage.named_path(str(value), "--out")
        if path.suffix.lower() != PNG:
            raise UsageError(f"--out {path}: unknown ending {path.suffix!r}, expected {PNG}.")
        if not path.parent.is_dir():
            raise UsageError(f"--out {path}: there is no folder {path.parent}; make it first.")
        if path.is_dir():
            raise UsageError(f"--out {path} is a folder; expected the name of a file.")
        if not os.access(path.parent, os.W_OK):
            raise UsageError(f"--out {path}: the folder {path.parent} may not be written to.")
        return path


def runs_argument(command: F) -> F:
    """Add ``RUN…``, passed as ``runs``."""
    path = click.Path(path_type=Path)
    return click.argument("runs", metavar="RUN...", nargs=-1, required=True, type=path)(command)


def run_argument(command: F) -> F:
    """Add ``RUN``, passed as ``run``."""
    path = click.Path(path_type=Path)
    return click.argument("run", metavar="RUN", type=path)(command)


def split_option(command: F) -> F:
    """Add ``--split``."""
    return click.option(
        "--split", type=click.Choice(SPLITS), help="Items to show; evaluate.split unless given."
    )(command)


def common_options(command: F) -> F:
    """Add ``--seed``, ``-s/--set``, ``--out`` and ``--json``."""
    seed = click.option(
        "--seed",
        type=click.IntRange(min=0),
        help="Seed of every draw; evaluate.seed unless given.",
    )
    out = click.option(
        "--out",
        type=PngFile(),
        metavar="FILE.png",
        help="Output file; an existing one is replaced. The default is a new file: in RUN/figures "
        "for one run, in the working folder for several.",
    )
    return seed(set_option(out(json_option(command))))


def opened(
    runs: Sequence[Path], split: str | None, seed: int | None, overrides: tuple[str, ...]
) -> list[Subject]:
    """The runs with models and data, opened after a check that figures can be drawn."""
    from mmvae.experiments.open_run import open_run
    from mmvae.report.canvas import require_matplotlib
    from mmvae.report.subject import Subject

    require_matplotlib()
    if split is not None:
        overrides = (*overrides, f'evaluate.split="{split}"')
    if seed is not None:
        overrides = (*overrides, f"evaluate.seed={seed}")
    subjects, context = [], click.get_current_context(silent=True)
    for run in runs:
        with shown_progress() as progress:
            found = open_run(run, overrides=overrides, progress=progress)
        if context is not None:
            context.meta.setdefault(OPENED, []).append(found.run)
        config = found.experiment.evaluate
        subjects.append(Subject(found, config.split, config.seed))
    return subjects


def write(
    picture: Picture,
    runs: Sequence[Path],
    out: Path | None,
    as_json: bool,
    inputs: Sequence[Path] = (),
) -> None:
    """Write the file, and print its caption and path.

    Raises:
        UsageError: ``out`` would replace one of the ``inputs``, files that the command reads.
    """
    if out is None:
        context = click.get_current_context(silent=True)
        for run in context.meta.get(OPENED, []) if context else []:
            run.check_in_place()
        folder = storage.inner_folder(runs[0], "figures") if len(runs) == 1 else Path()
        out = unused(folder, picture.name)
    for file in inputs:
        refuse_input(out, file)
    older = out.exists()
    storage.write_bytes(out, picture.png)
    if as_json:
        print_json({"out": str(out), "caption": picture.caption, **picture.numbers})
        return
    echo(picture.caption)
    say(f"{'Replaced' if older else 'Wrote'} {out}")


def unused(folder: Path, name: str) -> Path:
    """``NAME.png``, or the first of ``NAME-2.png``, … that does not exist."""
    names = itertools.chain([name], (f"{name}-{i}" for i in itertools.count(2)))
    places = (storage.within(folder, f"{n}{PNG}") for n in names)
    return next(path for path in places if not os.path.lexists(path))

"""Output files of commands: neither an input of the same command, nor a file of a run."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from mmvae.data.split_names import SPLITS
from mmvae.foundations.errors import UsageError
from mmvae.foundations.toml_document import read
from mmvae.runs.run_files import CREATED, OWN


def refuse_output(out: Path, run: Path, data: Iterable[str | None]) -> None:
    """Refuse an output by :func:`refuse_own` or :func:`refuse_inputs`."""
    refuse_own(out)
    refuse_inputs(out, run, data)


def refuse_inputs(out: Path, run: Path, data: Iterable[str | None]) -> None:
    """Refuse an output that would replace an input of the command.

    Args:
        out: The output file or folder.
        run: The run's folder.
        data: Inputs: files, or splits of the run's own data; None and other texts are ignored.

    Raises:
        UsageError: It would.
        ConfigError: The run's config cannot be read.
    """
    for name in data:
        for file in inputs(run, name):
            refuse_input(out, file)


def refuse_input(out: Path, file: Path) -> None:
    """Refuse an output that would replace a file that a command reads, or one of a folder.

    Raises:
        UsageError: It would.
    """
    within = os.path.isdir(file) and out.exists() and is_within(out, file)
    if within or is_same(out, file):
        raise UsageError(
            f"--out {out} would replace the data that this command reads ({file}). Name another "
            f"file."
        )


def refuse_own(out: Path) -> None:
    """Refuse an output that is a file or folder that a run or a saved model has or may have.

    Raises:
        UsageError: It is.
    """
    path = located(out)
    for folder in path.parents:
        own = path.relative_to(folder).parts[0] in OWN
        is_run = own and all(os.path.isfile(folder / name) for name in CREATED)
        is_model = all(os.path.isfile(folder / name) for name in ("MANIFEST.json", "state.json"))
        if is_run or is_model:
            what = "run" if is_run else "saved model"
            raise UsageError(
                f"--out {out} is among the files of the {what} {folder}, which mmvae writes and "
                f"checks. Name another file."
            )


def inputs(run: Path, name: str | None) -> list[Path]:
    """The files or folders that an input names: itself, or the run's data for a split."""
    from mmvae.data.paths import place

    if name is None:
        return []
    if name not in SPLITS:
        return [place(name)]
    config = run / "config.resolved.toml"
    data = read(config).table.get("data") if config.is_file() else None
    path = data.get("path") if isinstance(data, Mapping) else None
    return [place(path)] if isinstance(path, str) else []


def is_same(one: Path, other: Path) -> bool:
    """True if two paths lead to one file, under any name."""
    try:
        return os.path.samefile(one, other)
    except (OSError, ValueError):  # one does not exist
        return False


def is_within(path: Path, folder: Path) -> bool:
    """True if a path lies in a folder."""
    return located(path).is_relative_to(os.path.realpath(folder))


def located(path: Path) -> Path:
    """The place where a path is written: in the folder that its folder links to."""
    absolute = path.absolute()
    return Path(os.path.realpath(absolute.parent), absolute.name)

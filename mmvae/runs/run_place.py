"""The place of a run: the folder that a new one may use, what none may hold, and its repair."""

from __future__ import annotations

import itertools
import os
import secrets
import stat
from datetime import UTC, datetime
from pathlib import Path

from mmvae.foundations import staging
from mmvae.foundations.errors import RunError
from mmvae.foundations.lock import LOCK, FolderLock
from mmvae.foundations.operations import delete, rename, reported
from mmvae.foundations.printable import is_plain
from mmvae.runs.run_files import CREATED, TRAINED, RunFiles


def default_folder(name: str) -> Path:
    """Return ``runs/NAME/UTC-ID`` for a new run, different at every call."""
    return Path("runs", name, f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}")


def identity(folder: Path) -> tuple[int, int] | None:
    """Device and inode of a folder, which tell it from another of its name; None if there is none.

    Some network file systems give an inode another number once no file below it is open.
    """
    try:
        there = os.stat(folder)
    except (OSError, ValueError):  # there is none, or its name has a NUL
        return None
    return there.st_dev, there.st_ino


def is_folder(path: Path) -> bool:
    """True if a folder of this name exists; False for a name that no file can have."""
    try:
        return path.is_dir()
    except (OSError, ValueError):  # too long, or with a NUL
        return False


def check_free(folder: Path) -> None:
    """Refuse a folder with a run, or with anything that a killed ``create`` did not leave."""
    if not is_plain(folder.name or "."):
        raise RunError(
            f"{str(folder)!r} cannot name a run folder: expected printable characters without "
            f"blanks around them. Choose another --run-dir."
        )
    with reported(folder):
        if not folder.exists():
            return
    if not folder.is_dir():
        raise RunError(f"{folder} is a file. Choose another --run-dir.")
    names = {entry.name for entry in folder.iterdir()}
    if "status.json" in names:
        lock = FolderLock(folder)
        if lock.is_held():
            raise RunError(
                f"{folder} holds a run that is in use by {lock.holder()}. Choose another "
                f"--run-dir, or wait until that process ends."
            )
        begun = "resumes it"
        if RunFiles(folder).saved_nothing:
            begun = "restarts it with its own config, because it saved no checkpoint"
        raise RunError(
            f"{folder} already holds a run. `mmvae resume {folder}` {begun}; "
            "or choose another --run-dir."
        )
    # The lock file is created first, so our own names beside one come from a killed create.
    ours = {LOCK, *CREATED} if LOCK in names else set()
    foreign = sorted(n for n in names - ours if not n.endswith(staging.PARTIAL))
    if foreign:
        raise RunError(
            f"{folder} is not empty and no run: it holds {foreign[0]!r}. "
            "Choose another --run-dir, or empty it."
        )


def refuse_links(folder: Path) -> None:
    """Refuse links, pipes and devices: a run folder must not point outside itself."""
    with os.scandir(folder) as entries:
        for entry in entries:
            own = entry.is_file(follow_symlinks=False) or entry.is_dir(follow_symlinks=False)
            if not own:
                what = "a symbolic link" if entry.is_symlink() else "no regular file"
                raise RunError(
                    f"{folder / entry.name} is {what}; a run folder holds files and folders of "
                    f"its own. Put what it points to in its place, or remove it."
                )


def misplaced(folder: Path) -> list[Path]:
    """The places of a training's files that hold something else, such as a pipe or a folder."""
    folders = {"checkpoints", "model"}
    found = []
    for name in (*TRAINED, "metrics.jsonl", "checkpoints"):
        path = folder / name
        if os.path.lexists(path):
            mode = os.lstat(path).st_mode
            if not (stat.S_ISDIR(mode) if name in folders else stat.S_ISREG(mode)):
                found.append(path)
    return found


def clear_places(folder: Path) -> list[str]:
    """Free the places that `misplaced` finds.

    Links, pipes and devices are removed. Files and folders, which hold data, are renamed.

    Returns:
        A phrase for each place.

    Raises:
        TrainingError: The system refused.
    """
    said = []
    for path in misplaced(folder):
        with reported(path):
            if path.is_symlink() or not (path.is_file() or path.is_dir()):
                delete(path)
                said.append(f"{path.name} was replaced by a link, pipe or device; removed that")
                continue
            what = "folder" if path.is_dir() else "file"
            others = (path.with_name(f"{path.name}.other-{n}") for n in itertools.count(1))
            other = next(other for other in others if not os.path.lexists(other))
            rename(path, other)
            said.append(f"{path.name} was replaced by a {what}; renamed that to {other.name}")
    return said

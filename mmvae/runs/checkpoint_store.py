"""Checkpoints: the state of a training at one step, either complete and verified or absent.

``RUN/checkpoints/step-00001200/`` holds one safetensors file per group of tensors, ``state.json``
and ``MANIFEST.json`` with the size and SHA-256 of each; ``RUN/latest`` names one of them. Manifest
and pointer carry checksums of their own, so any changed byte is found before anything is used. A
finished checkpoint is never changed: a step that is saved again gets a folder of its own
(``step-00001200-2``). Nothing is pickled.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

from mmvae.foundations import staging, storage
from mmvae.foundations.errors import CheckpointError, TrainingError
from mmvae.runs.checkpoint_folder import (
    LATEST,
    Checkpoint,
    Tensors,
    _is_checkpoint,
    _order,
    _verifies,
    read_folder,
    write_folder,
)
from mmvae.runs.manifest import (
    FOLDER,
    FORMAT,
    Pointer,
    read_checked,
    with_checksum,
)

_REPAIR = "Removing that file makes the newest checkpoint the latest."


class CheckpointStore:
    """The checkpoints of one run; the process that saves must hold the run's lock.

    Args:
        folder: ``RUN/checkpoints``; ``latest`` lies beside it. Created at the first save.
        keep: Number of newest checkpoints to keep; at least 1.
    """

    def __init__(self, folder: Path, keep: int = 2) -> None:
        if keep < 1:
            raise ValueError(f"keep must be at least 1, got {keep}")
        self.folder, self.run, self.keep = folder, folder.parent, keep

    def save(self, step: int, tensors: Tensors, state: Mapping[str, Any]) -> Path:
        """Save a checkpoint durably, point ``latest`` at it, remove old ones.

        On return the checkpoint survives a power cut. Older ones are removed only after that, and
        so are those of later steps, left over if the run resumed from an earlier checkpoint.

        Args:
            step: The number of optimizer steps done.
            tensors: Per file name (without ending), tensors by name, of any device and layout in
                memory; they may share memory. Types are kept.
            state: JSON-able values, floats finite. Keys are strings; tuples come back as lists.

        Returns:
            The checkpoint's folder.

        Raises:
            TrainingError: The system refused (a full disk); earlier checkpoints are intact.
        """
        kept = "the previous checkpoint is intact"
        if not self.paths():
            kept = "none was saved before" if self.empty else "those saved before were removed"
        remedy = f"then `mmvae resume {self.run}`; {kept}."
        storage.inner_folder(self.run, self.folder.name, remedy=remedy)
        self._clean(remedy)
        final = self._unused(step)
        try:
            with staging.staged_folder(final, remedy=remedy) as staged:
                write_folder(staged, step, tensors, state)
        except TrainingError as error:
            if self.folder.is_dir():
                raise
            raise TrainingError(
                f"{self.folder} was removed while step {step} was saved in it, with all "
                f"checkpoints. Do not change that folder during a training; `mmvae train` starts "
                f"a new run."
            ) from error
        self._point(final, remedy)
        self._retire(final, remedy)
        return final

    @property
    def removed_remark(self) -> str | None:
        """A remark if checkpoints were saved here, and are gone."""
        if self.empty or self.paths():
            return None
        return f"all checkpoints were removed from {self.folder} while this process trained"

    def go_on_from(self, path: Path) -> None:
        """Make a checkpoint the latest, durably, before the run discards later records.

        Raises:
            TrainingError: The system refused.
        """
        if self.find(LATEST) != path:
            self._point(path, f"then repeat the command; {self.run} is unchanged.")

    def load(self, which: str | int | Path) -> Checkpoint:
        """Verify a checkpoint, then read it.

        Args:
            which: ``"latest"``, a folder's name, a step, or the path of a folder.

        Raises:
            CheckpointError: It is missing, damaged, or of a newer format.
        """
        path = self.find(which)
        try:
            return read_folder(path)
        except CheckpointError as error:
            self._refuse(str(error), path)

    def find(self, which: str | int | Path) -> Path:
        """Return the folder that ``which`` refers to, not yet verified; see `load`."""
        if isinstance(which, Path):
            path: Path | None = which
        elif isinstance(which, int):
            path = self._by_step().get(which)
        elif which == LATEST:
            path = self._latest()
        else:
            path = self.folder / which if FOLDER.fullmatch(which) else None
        if path is None:
            self._refuse(f"{self.run} has no checkpoint {which!r}.")
        if path.parent == self.folder and path.is_symlink():
            self._refuse(f"Checkpoint {path} is a symbolic link.", path)
        if not path.is_dir():
            self._refuse(f"Checkpoint {path} does not exist.", path)
        return path

    @property
    def empty(self) -> bool:
        """True if nothing was ever saved here, so that a run starts from its first step."""
        return not os.path.lexists(self.run / LATEST) and not self.paths()

    def paths(self) -> list[Path]:
        """Return the checkpoints' folders, oldest first, not verified."""
        if self.folder.is_symlink() or not self.folder.is_dir():
            return []
        return sorted(filter(_is_checkpoint, self.folder.iterdir()), key=_order)

    def intact(self) -> list[Path]:
        """Return the folders of the checkpoints that verify, oldest first; reads all of them."""
        return [path for path in self.paths() if _verifies(path)]

    def _point(self, path: Path, remedy: str) -> None:
        target = with_checksum(
            {"format": FORMAT, "step": _order(path)[0], "checkpoint": path.name}
        )
        storage.write_bytes(self.run / LATEST, target, remedy=remedy)

    def _latest(self) -> Path | None:
        file = self.run / LATEST
        if os.path.lexists(file):
            try:
                return self.folder / read_checked(file, Pointer).checkpoint
            except CheckpointError as error:
                self._refuse(f"{error} {_REPAIR}")
        # Only a process killed at its first save leaves checkpoints without ``latest``. A folder
        # appears only when complete, so ``latest`` was about to name the newest.
        return self.paths()[-1] if self.paths() else None

    def _by_step(self) -> dict[int, Path]:
        return {_order(path)[0]: path for path in self.paths()}

    def _unused(self, step: int) -> Path:
        name = f"step-{step:08d}"
        taken = [_order(path)[1] for path in self.paths() if _order(path)[0] == step]
        return self.folder / (f"{name}-{max(taken) + 1}" if taken else name)

    def _clean(self, remedy: str) -> None:
        staging.clean(self.folder, remedy=remedy)
        staging.clean(self.run, LATEST, remedy=remedy)

    def _retire(self, newest: Path, remedy: str) -> None:
        steps = [s for s in sorted(self._by_step()) if s <= _order(newest)[0]]
        kept = {newest, *(self._by_step()[step] for step in steps[-self.keep :])}
        for path in self.paths():
            if path not in kept:
                storage.remove_folder(path, remedy=remedy)

    def _refuse(self, problem: str, path: Path | None = None) -> NoReturn:
        others = [other.name for other in self.intact() if other != path]
        if others:
            advice = (
                f"Intact: {', '.join(others)}. "
                f"`mmvae resume {self.run} --from {others[-1]}` resumes from the newest of them."
            )
        else:
            advice = f"{self.run} has no other checkpoint; `mmvae train` starts a new run."
        raise CheckpointError(f"{problem} {advice}")

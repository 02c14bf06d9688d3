"""Checkpoints: the state of a training at one step, either complete and verified or absent.

``RUN/checkpoints/step-00001200/`` holds one safetensors file per group of tensors, ``state.json``
and ``MANIFEST.json`` with the size and SHA-256 of each; ``RUN/latest`` names one of them. Manifest
and pointer carry checksums of their own, so any changed byte is found before anything is used. A
finished checkpoint is never changed: a step that is saved again gets a folder of its own
(``step-00001200-2``). Nothing is pickled.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import safetensors
import torch
from safetensors.torch import load as tensors_from_bytes
from safetensors.torch import save as bytes_from_tensors
from torch import Tensor

from mmvae.foundations import staging, storage
from mmvae.foundations.errors import CheckpointError, TrainingError
from mmvae.runs.manifest import (
    FOLDER,
    FORMAT,
    STEM,
    File,
    Manifest,
    Pointer,
    content,
    read_checked,
    strict_json,
    with_checksum,
)

MANIFEST, STATE, TENSORS, LATEST = "MANIFEST.json", "state.json", ".safetensors", "latest"

_REPAIR = "Removing that file makes the newest checkpoint the latest."

Tensors = Mapping[str, Mapping[str, Tensor]]


@dataclass(frozen=True)
class Checkpoint:
    """The verified content of a checkpoint.

    Args:
        step: The number of optimizer steps done.
        tensors: Per file (without its ending), tensors by name, on the CPU.
        state: The JSON state that was passed to `CheckpointStore.save`.
        path: The folder it was read from.
        digests: Per file of tensors, its SHA-256.
    """

    step: int
    tensors: dict[str, dict[str, Tensor]]
    state: dict[str, Any]
    path: Path
    digests: dict[str, str]


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
                f"checkpoints. Leave that folder to the training; `mmvae train` starts a new run."
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
            self._point(path, f"then repeat the command; {self.run} is as it was.")

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
                f"`mmvae resume {self.run} --from {others[-1]}` goes on from the newest of them."
            )
        else:
            advice = f"{self.run} has no other checkpoint; `mmvae train` starts a new run."
        raise CheckpointError(f"{problem} {advice}")


def first_non_finite(tensors: Tensors) -> str | None:
    """Return ``"file/name"`` of the first tensor with a NaN or an infinity, or None."""
    for stem, group in tensors.items():
        for name, tensor in group.items():
            # One-byte floats have no isfinite of their own.
            wide = tensor.float() if tensor.element_size() == 1 else tensor
            if not bool(torch.isfinite(wide).all()):
                return f"{stem}/{name}"
    return None


def write_folder(folder: Path, step: int, tensors: Tensors, state: Mapping[str, Any]) -> None:
    """Write a checkpoint's files and manifest into ``folder``; see `CheckpointStore.save`."""
    files = {}

    def put(name: str, data: bytes) -> None:
        storage.put(folder / name, data)
        files[name] = {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}

    for stem, group in tensors.items():
        if not STEM.fullmatch(stem):
            raise ValueError(f"{stem!r} is no name for a checkpoint's file")
        put(stem + TENSORS, bytes_from_tensors({k: _plain(v) for k, v in group.items()}))
    put(STATE, storage.json_bytes(state))
    storage.put(folder / MANIFEST, with_checksum({"format": FORMAT, "step": step, "files": files}))


def _plain(tensor: Tensor) -> Tensor:
    """Return a contiguous copy on the CPU that shares no memory, as safetensors requires."""
    return tensor.detach().to("cpu", copy=True, memory_format=torch.contiguous_format)


def read_folder(path: Path) -> Checkpoint:
    """Verify and read a folder of `write_folder`; CheckpointError if it is not intact."""
    manifest, contents = _verified(path)
    try:
        state = strict_json(contents.pop(STATE))
        tensors = {
            name.removesuffix(TENSORS): tensors_from_bytes(contents.pop(name))
            for name in sorted(contents)
        }
    except (safetensors.SafetensorError, ValueError, KeyError, RecursionError) as error:
        raise CheckpointError(f"Checkpoint {path} cannot be read: {error!r}.") from error
    if not isinstance(state, dict):
        raise CheckpointError(f"Checkpoint {path} has a {STATE} that is no JSON object.")
    if (bad := first_non_finite(tensors)) is not None:
        raise CheckpointError(
            f"{path}: {bad} holds NaN or infinity, which mmvae never saves: it was changed since "
            f"or made by something else."
        )
    digests = {name: manifest.files[name + TENSORS].sha256 for name in tensors}
    return Checkpoint(manifest.step, tensors, state, path, digests)


def read_state(path: Path) -> dict[str, Any]:
    """Verify and read only the JSON state of a checkpoint; CheckpointError if it is damaged."""
    file = read_checked(path / MANIFEST, Manifest).files.get(STATE)
    if file is None:
        raise CheckpointError(f"Checkpoint {path} has no {STATE}.")
    state = json.loads(_verified_file(path / STATE, file))
    if not isinstance(state, dict):
        raise CheckpointError(f"Checkpoint {path} has a {STATE} that is no JSON object.")
    return state


def _verified_file(path: Path, file: File) -> bytes:
    """Return the content of one file, verified."""
    data = content(path, file.size)
    if len(data) != file.size or hashlib.sha256(data).hexdigest() != file.sha256:
        raise CheckpointError(f"{path} is damaged: it is not what was saved.")
    return data


def _verified(path: Path) -> tuple[Manifest, dict[str, bytes]]:
    """Return the manifest and every file's content, all verified."""
    manifest = read_checked(path / MANIFEST, Manifest)
    named = FOLDER.fullmatch(path.name)
    if named and int(named[1]) != manifest.step:
        raise CheckpointError(f"{path} holds step {manifest.step}, which its name denies.")
    contents = {}
    if (needed := sum(file.size for file in manifest.files.values())) > _memory():
        raise CheckpointError(f"{path} holds {needed:,} bytes, more than this machine's memory.")
    for name, file in manifest.files.items():
        contents[name] = _verified_file(path / name, file)
    return manifest, contents


def _memory() -> int:
    """Bytes of memory of this machine."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _verifies(path: Path) -> bool:
    try:
        _verified(path)
    except CheckpointError:
        return False
    return True


def _is_checkpoint(path: Path) -> bool:
    return bool(FOLDER.fullmatch(path.name)) and path.is_dir() and not path.is_symlink()


def step_of(path: Path) -> int:
    """Return the step in the name of a checkpoint's folder."""
    return _order(path)[0]


def _order(path: Path) -> tuple[int, int]:
    """Return the step, and the count of its saves, from a folder's name."""
    step, again = FOLDER.fullmatch(path.name).groups()  # type: ignore[union-attr]  # checked before
    return int(step), int(again or 1)

"""A checkpoint's folder: written whole, read only with every checksum right."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors
import torch
from safetensors.torch import load as tensors_from_bytes
from safetensors.torch import save as bytes_from_tensors
from torch import Tensor

from mmvae.foundations import storage
from mmvae.foundations.errors import CheckpointError
from mmvae.foundations.json_document import problem_of, strict_json
from mmvae.runs.manifest import (
    FOLDER,
    FORMAT,
    STEM,
    File,
    Manifest,
    content,
    read_checked,
    with_checksum,
)

MANIFEST, STATE, TENSORS, LATEST = "MANIFEST.json", "state.json", ".safetensors", "latest"

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
        state = _state(path, contents.pop(STATE))
        tensors = {
            name.removesuffix(TENSORS): tensors_from_bytes(contents.pop(name))
            for name in sorted(contents)
        }
    except KeyError as error:
        raise CheckpointError(f"Checkpoint {path} has no {STATE}.") from error
    except (safetensors.SafetensorError, ValueError) as error:
        raise CheckpointError(f"Checkpoint {path} cannot be read: {problem_of(error)}.") from error
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
    return _state(path, _verified_file(path / STATE, file))


def _state(path: Path, data: bytes) -> dict[str, Any]:
    """Parse the JSON state of the checkpoint in ``path``."""
    try:
        state = strict_json(data)
    except (ValueError, RecursionError) as error:  # the repr of some holds the whole document
        raise CheckpointError(f"{path / STATE} is damaged: {problem_of(error)}.") from error
    if not isinstance(state, dict):
        raise CheckpointError(f"Checkpoint {path} has a {STATE} that is no JSON object.")
    return state


def _verified_file(path: Path, file: File) -> bytes:
    """Return the content of one file, verified."""
    data = content(path, file.size)
    if len(data) != file.size or hashlib.sha256(data).hexdigest() != file.sha256:
        raise CheckpointError(f"{path} is damaged: its content differs from what was saved.")
    return data


def _verified(path: Path) -> tuple[Manifest, dict[str, bytes]]:
    """Return the manifest and every file's content, all verified."""
    manifest = read_checked(path / MANIFEST, Manifest)
    named = FOLDER.fullmatch(path.name)
    if named and int(named[1]) != manifest.step:
        raise CheckpointError(
            f"{path} holds step {manifest.step}, but its name says another step."
        )
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

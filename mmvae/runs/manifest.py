"""Files of JSON and tensors that contain a checksum of their content."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar

import pydantic
import torch
from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from safetensors.torch import load, save
from torch import Tensor

from mmvae.foundations import storage
from mmvae.foundations.errors import CheckpointError
from mmvae.foundations.json_document import problem_of, strict_json

FORMAT = 1
FOLDER = re.compile(r"step-([0-9]{8,})(?:-([0-9]+))?")
STEM = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,100}")
_MAX_CHECKED = 1 << 22

_Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
_FileName = Annotated[str, StringConstraints(pattern=f"^{STEM.pattern}$")]


class Versioned(BaseModel):
    """Keys of every file with a checksum: the format's version and the optimizer steps done."""

    model_config = ConfigDict(extra="forbid", strict=True)
    format: int
    step: int = Field(ge=0)


class File(BaseModel):
    """A manifest's entry for a file."""

    model_config = ConfigDict(extra="forbid", strict=True)
    size: int = Field(ge=0)
    sha256: _Sha256


class Manifest(Versioned):
    """``MANIFEST.json``: the size in bytes and the SHA-256 of every other file beside it."""

    files: dict[_FileName, File]


class Pointer(Versioned):
    """``RUN/latest``: the name of a folder in ``RUN/checkpoints``."""

    checkpoint: Annotated[str, StringConstraints(pattern=f"^{FOLDER.pattern}$")]


_Model = TypeVar("_Model", bound=Versioned)


def with_checksum(document: Mapping[str, Any]) -> bytes:
    """Return ``document`` as JSON with a checksum of all its other bytes."""
    checksum = hashlib.sha256(storage.json_bytes(document)).hexdigest()
    return storage.json_bytes({**document, "sha256": checksum})


def read_checked(file: Path, model: type[_Model]) -> _Model:
    """Read a file and verify its checksum.

    Raises:
        CheckpointError: A byte of it changed, its format is newer, or it is not of this ``model``.
    """
    data = content(file, _MAX_CHECKED)
    try:
        document = strict_json(data)
        whole = isinstance(document, dict) and bool(document.pop("sha256", ""))
        if not whole or with_checksum(document) != data:
            raise ValueError("its checksum differs")
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{file} is damaged: {error}.") from error
    if isinstance(document.get("format"), int) and document["format"] > FORMAT:
        raise CheckpointError(
            f"{file} has format {document['format']}, this mmvae reads up to {FORMAT}: upgrade it."
        )
    try:
        return model.model_validate(document)
    except pydantic.ValidationError as error:
        raise CheckpointError(f"{file} is not what mmvae writes: {problem_of(error)}.") from error


def tensors_with_checksum(tensors: Mapping[str, Tensor], made_with: Mapping[str, str]) -> bytes:
    """Return tensors and texts as a safetensors file with a checksum of both."""
    checksum = _checksum(tensors, made_with)
    return save(dict(tensors), {**made_with, "sealed": "true", "sha256": checksum})


def read_checked_tensors(data: bytes) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Invert `tensors_with_checksum`.

    Files of older versions have no checksum and are accepted unchecked.

    Raises:
        SafetensorError: It is not a safetensors file.
        ValueError: A tensor or a text changed.
    """
    tensors = load(data)
    header = strict_json(data[8 : 8 + int.from_bytes(data[:8], "little")])
    made_with: dict[str, str] = header.get("__metadata__") or {}
    if made_with.keys() & {"sealed", "sha256"}:
        claimed, marked = made_with.pop("sha256", ""), made_with.pop("sealed", "")
        if marked != "true" or claimed != _checksum(tensors, made_with):
            raise ValueError("its checksum differs")
    return tensors, made_with


def _checksum(tensors: Mapping[str, Tensor], made_with: Mapping[str, str]) -> str:
    """The SHA-256 of tensors and texts by their names, independent of their order in a file."""
    digest = hashlib.sha256(json.dumps(sorted(made_with.items())).encode())
    for name in sorted(tensors):
        value = tensors[name].contiguous()
        digest.update(json.dumps([name, str(value.dtype), list(value.shape)]).encode())
        digest.update(value.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def content(file: Path, expected: int) -> bytes:
    """Return at most ``expected`` + 1 bytes of a regular file; refuse links and pipes."""
    try:
        with open(storage.open_regular(file), "rb") as stream:
            return stream.read(min(os.fstat(stream.fileno()).st_size, expected + 1))
    except OSError as error:
        raise CheckpointError(f"{file} cannot be read: {error.strerror}.") from error

"""Pictures and their signed attributes: the paper's figures of faces, and edits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mmvae_faces.edit import Edit

if TYPE_CHECKING:
    from mmvae_faces.face_model import FaceModel

__all__ = ["Edit", "FaceModel"]


def __getattr__(name: str) -> Any:
    if name != "FaceModel":
        raise AttributeError(f"module 'mmvae_faces' has no attribute {name!r}")
    from mmvae_faces.face_model import FaceModel  # torch is not needed to show a command's help

    return FaceModel

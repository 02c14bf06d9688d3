"""Pictures and their signed attributes: the paper's figures of faces, and edits."""

from __future__ import annotations

from mmvae_faces.edit import Edit
from mmvae_faces.face_model import FaceModel

__all__ = ["Edit", "FaceModel"]

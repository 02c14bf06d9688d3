"""The recipe: how an encoded picture becomes a square of pixels, or is left out."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from mmvae_benchmarks.celeba import crop as crops
from mmvae_benchmarks.celeba.crop import FaceSettings, Outcome

VERSION = 1
"""Increased when the same settings give other pixels than before, or shards of another size."""

Cut = Callable[[bytes], np.ndarray[Any, Any] | Outcome]


@dataclass(frozen=True)
class Recipe:
    """Settings of the crop.

    Attributes:
        crop: The crop: around the face, or the largest square in the centre.
        size: Side of the square, in pixels.
        faces: How faces are found and kept.
    """

    crop: Literal["face", "centre"]
    size: int
    faces: FaceSettings

    def settings(self) -> dict[str, Any]:
        """All settings that determine the pixels."""
        settings = {"version": VERSION, "crop": self.crop, "size": self.size}
        return settings | ({"faces": self.faces.model_dump()} if self.crop == "face" else {})

    def fingerprint(self) -> str:
        """A hash of the settings."""
        text = json.dumps(self.settings(), sort_keys=True)
        return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()

    def cutter(self) -> Cut:
        """A function for one thread: encoded picture → uint8 (size, size, 3), or why not."""
        if self.crop == "centre":
            return self._centre
        find = crops.FaceDetector(self.faces)
        return lambda encoded: self._face(encoded, find)

    def _centre(self, encoded: bytes) -> np.ndarray[Any, Any]:
        picture = crops.opened(encoded)
        return crops.cropped(picture, crops.centre_box(*picture.size), self.size)

    def _face(self, encoded: bytes, find: crops.FindFaces) -> np.ndarray[Any, Any] | Outcome:
        picture = crops.opened(encoded)
        box = crops.face_box(find(picture), *picture.size, self.faces)
        return box if isinstance(box, Outcome) else crops.cropped(picture, box, self.size)

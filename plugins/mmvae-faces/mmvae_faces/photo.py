"""Photographs: any picture file, cropped to the square that a model of faces was trained on."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from mmvae_benchmarks.celeba import crop as crops
from mmvae_benchmarks.celeba.crop import Box, Face, FaceSettings
from mmvae_benchmarks.celeba.pictures import Unreadable
from mmvae_benchmarks.celeba.source import CelebaConfig
from PIL import Image
from torch import Tensor

from mmvae import DataError, SourceConfig, UsageError
from mmvae_faces.face_model import FaceModel

CropKind = Literal["face", "centre"]

MOST_BYTES = 500_000_000
SOUGHT = 512
"""Faces are searched in a copy of at most this many pixels per side, the size of CelebA's."""

ALIKE = 0.5
"""Faces smaller than this share of the largest are ignored: mostly they are false detections."""


@dataclass(frozen=True)
class PhotoCrop:
    """The crop of photographs.

    Attributes:
        kind: Around the face, or the largest square in the middle.
        faces: The settings of face detection. Unlike in a data set, a small face is accepted too.
    """

    kind: CropKind
    faces: FaceSettings

    @classmethod
    def of(cls, source: str, config: SourceConfig, kind: CropKind | None = None) -> PhotoCrop:
        """The crop of the data that a run was trained on, or of this kind.

        Raises:
            UsageError: The source does not crop, and no kind is named.
        """
        if isinstance(config, CelebaConfig):
            return cls(kind or config.crop, config.faces)
        if kind is None:
            raise UsageError(
                f"its source {source!r} does not say how a photograph is cut; choose "
                f"--crop face or --crop centre."
            )
        return cls(kind, FaceSettings())

    def __call__(self, path: Path, size: int, channels: int, which: int | None) -> Image.Image:
        """The square of a photograph, size×size pixels, grey or RGB.

        Args:
            path: The file.
            size: Side of the square.
            channels: 1 for grey, 3 for RGB.
            which: The face's number, 1 the first from the left; needed only if there are several.

        Raises:
            DataError: No whole picture, no face, several faces, or one too near to the edge.
        """
        picture = read_photo(path)
        if self.kind == "centre":
            box = crops.centre_box(*picture.size)
        else:
            box = self._face_box(path, picture, which)
        square = Image.fromarray(crops.cropped(picture, box, size))
        return square if channels == 3 else square.convert("L")

    def _face_box(self, path: Path, picture: Image.Image, which: int | None) -> Box:
        face = chosen(path, find_faces(picture, self.faces), which)
        anywhere = self.faces.model_copy(update={"width": 0.0})
        box = crops.face_box([face], *picture.size, anywhere)
        if not isinstance(box, Box):
            raise DataError(
                f"{path}: the square around the face, {self.faces.widen:g} times as wide as it, "
                f"reaches out of the picture. Take a picture with more room around the face, or "
                f"--crop centre."
            )
        return box


def read_photo(path: Path) -> Image.Image:
    """A picture file, upright and in RGB.

    Raises:
        DataError: The file does not exist, is not a complete picture, or is too large.
    """
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "there is no such file"
        raise DataError(f"{path}: {what}; expected a picture.")
    try:
        if path.stat().st_size > MOST_BYTES:
            raise DataError(f"{path}: more than {MOST_BYTES // 10**6} MB; expected a picture.")
        encoded = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}).") from None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # refused below
            return crops.opened(encoded)
    except Unreadable as error:
        raise DataError(
            f"{path}: no picture that can be read ({error}). Expected a whole JPEG, PNG or other "
            f"picture of at most {crops.MOST_PIXELS:,} pixels."
        ) from None


def find_faces(picture: Image.Image, settings: FaceSettings) -> list[Face]:
    """The faces of a picture, from left to right, in its own pixels."""
    scale = max(1.0, max(picture.size) / SOUGHT)
    small = picture
    if scale > 1:
        width, height = (max(1, round(side / scale)) for side in picture.size)
        small = picture.resize((width, height), Image.Resampling.BICUBIC)
    found = crops.FaceDetector(settings)(small)
    faces = [face for face in found if face.width >= ALIKE * found[0].width]
    return [Face(*(round(side * scale) for side in face)) for face in sorted(faces)]


def chosen(path: Path, faces: Sequence[Face], which: int | None) -> Face:
    """The only face, or the requested one.

    Raises:
        DataError: There is none, or there are several and none is requested.
    """
    if not faces:
        raise DataError(
            f"{path}: no face found; expected one seen from the front. --crop centre takes the "
            f"middle of the picture instead."
        )
    if which is None and len(faces) > 1:
        raise DataError(
            f"{path}: {len(faces)} faces found, expected one. Choose from the left, --face 1 to "
            f"--face {len(faces)}, or cut the picture to one."
        )
    if which is not None and which > len(faces):
        raise DataError(f"{path}: there is no face {which}; {len(faces)} found.")
    return faces[(which or 1) - 1]


def photo_input(model: FaceModel, crop: PhotoCrop, path: Path, which: int | None) -> Tensor:
    """A photograph as the model's input, (1, c, h, w).

    Raises:
        UsageError: The model's pictures are not squares of grey or RGB.
        DataError: As :meth:`PhotoCrop.__call__`.
    """
    shape = model.trained.codecs[model.image].event_shape
    if len(shape) != 3 or shape[0] not in (1, 3) or shape[1] != shape[2]:
        raise UsageError(
            f"{model.trained.origin}: its {model.image!r} has the shape {shape}, expected squares "
            f"of 1 or 3 channels."
        )
    picture = crop(path, shape[1], shape[0], which)
    return model.trained.condition(model.image, [picture])

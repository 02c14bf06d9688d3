"""Crops: the square of a picture that is kept, around the face or in the centre.

The faces of Suzuki, Nakayama and Matsuo (2016, arXiv:1611.01891) as in their published code:
OpenCV's cascade finds the face and its box is widened. A picture is left out if that box is narrow
or extends beyond the picture.
"""

from __future__ import annotations

import importlib
import io
from collections.abc import Callable, Sequence
from enum import IntEnum
from typing import Any, NamedTuple

import numpy as np
from PIL import Image, ImageOps
from pydantic import BaseModel, ConfigDict, Field

from mmvae import DataError
from mmvae.data.pictures import begun, size_in_memory
from mmvae_benchmarks.celeba.pictures import Unreadable

MOST_PIXELS = 64_000_000
"""Maximum number of pixels: larger pictures are refused before decoding."""

DEEP = ("I", "F", "I;16", "I;16B", "I;16L")
"""Modes whose conversion to 8 bits would clip."""

CASCADE = "haarcascade_frontalface_alt.xml"
INSTALL = 'pip install "mmvae-benchmarks[faces]"'


class FaceSettings(BaseModel):
    """``[data.faces]``: how a face is found, and when its picture is kept."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    scale: float = Field(
        1.2,
        gt=1,
        allow_inf_nan=False,
        description="Ratio of successive sizes in the search for faces.",
    )
    neighbours: int = Field(
        2,
        ge=0,
        description="Minimum number of overlapping detections for a face.",
    )
    smallest: int = Field(
        10,
        ge=1,
        description="Side in pixels of the smallest face to search for.",
    )
    widen: float = Field(
        1.3, gt=0, allow_inf_nan=False, description="Factor that widens the box of a face."
    )
    width: float = Field(
        0.4,
        ge=0,
        le=1,
        description="Minimum width of the widened box, as a fraction of the picture's height. A "
        "narrower face is rejected.",
    )


class Outcome(IntEnum):
    """The outcome of cropping a picture."""

    KEPT = 0
    NO_FACE = 1
    OUTSIDE = 2
    NARROW = 3


REASONS = {
    Outcome.NO_FACE: "no face found",
    Outcome.OUTSIDE: "the face reaches out of the picture",
    Outcome.NARROW: "the face is too small",
}


class Box(NamedTuple):
    """A rectangle in pixels, from the top left."""

    left: float
    top: float
    right: float
    bottom: float


class Face(NamedTuple):
    """A face as the cascade finds it, in pixels."""

    left: int
    top: int
    width: int
    height: int


FindFaces = Callable[[Image.Image], Sequence[Face]]


class FaceDetector:
    """OpenCV's frontal-face cascade; one for each thread.

    Args:
        settings: The settings of the search.

    Raises:
        DataError: OpenCV is missing, or a version without cascades.
    """

    def __init__(self, settings: FaceSettings) -> None:
        self.settings, self.cv2 = settings, opencv()
        self._cascade = self.cv2.CascadeClassifier(self.cv2.data.haarcascades + CASCADE)
        if self._cascade.empty():
            raise DataError(f"OpenCV has no {CASCADE}: {INSTALL}")

    def __call__(self, picture: Image.Image) -> list[Face]:
        """The faces of a picture, the largest first."""
        found = self._cascade.detectMultiScale(
            np.asarray(picture.convert("L")),
            scaleFactor=self.settings.scale,
            minNeighbors=self.settings.neighbours,
            minSize=(self.settings.smallest, self.settings.smallest),
        )
        faces = [Face(*(int(value) for value in face)) for face in found]
        return sorted(faces, key=lambda face: (-face.width * face.height, face))


def opencv() -> Any:
    """OpenCV, in a version that has cascades.

    Raises:
        DataError: The installed version has none.
    """
    try:
        cv2 = importlib.import_module("cv2")
    except ImportError as error:
        raise DataError(
            f"data.crop = 'face' needs OpenCV ({error}): {INSTALL}, or choose crop = 'centre'."
        ) from None
    if not hasattr(cv2, "CascadeClassifier"):
        raise DataError(
            f"data.crop = 'face': OpenCV {cv2.__version__} has no CascadeClassifier, expected a "
            f"version before 5: {INSTALL}, or choose crop = 'centre'."
        )
    return cv2


def face_box(
    faces: Sequence[Face], width: int, height: int, settings: FaceSettings
) -> Box | Outcome:
    """The square around the first of ``faces``, or the reason why there is none.

    Args:
        faces: As :class:`FaceDetector` gives them.
        width: Width of the picture.
        height: Height of the picture.
        settings: The conditions for keeping a picture.
    """
    if not faces:
        return Outcome.NO_FACE
    face = faces[0]
    half = settings.widen * max(face.width, face.height) / 2
    x, y = face.left + face.width / 2, face.top + face.height / 2
    box = Box(x - half, y - half, x + half, y + half)
    if 2 * half <= settings.width * height:
        return Outcome.NARROW
    if box.left < 0 or box.top < 0 or box.right > width or box.bottom > height:
        return Outcome.OUTSIDE
    return box


def centre_box(width: int, height: int) -> Box:
    """The largest square in the middle of a picture."""
    side = min(width, height)
    left, top = (width - side) / 2, (height - side) / 2
    return Box(left, top, left + side, top + side)


def opened(encoded: bytes) -> Image.Image:
    """Decode a picture whole, upright and in RGB, on white where it is transparent.

    Raises:
        Unreadable: It is damaged, no picture, or too large.
    """
    try:
        picture = begun(io.BytesIO(encoded))
        height, width = size_in_memory(picture)
        if height * width > MOST_PIXELS:
            raise Unreadable(f"{width}×{height} pixels are too many")
        if picture.mode in DEEP:
            raise Unreadable(f"mode {picture.mode} has more than 8 bits")
        picture.load()
        ImageOps.exif_transpose(picture, in_place=True)
        if picture.has_transparency_data:  # hidden colours have no meaning
            page = Image.new("RGBA", picture.size, "white")
            return Image.alpha_composite(page, picture.convert("RGBA")).convert("RGB")
        return picture.convert("RGB")
    except Unreadable:
        raise
    except Exception as error:  # on damaged files its many parsers raise nearly anything
        raise Unreadable(str(error) or type(error).__name__) from None


def cropped(picture: Image.Image, box: Box, size: int) -> np.ndarray[Any, Any]:
    """A box of a picture, scaled to uint8 (size, size, 3)."""
    square = picture.resize((size, size), Image.Resampling.BICUBIC, box=box)
    return np.asarray(square)

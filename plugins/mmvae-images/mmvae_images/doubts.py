"""Doubts: pictures whose reading a person should check."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from PIL import Image

from mmvae import Column, UnsupportedValue
from mmvae_images.picture import CUT, MOST, as_image, said
from mmvae_images.pixels import Pixels

_PROFILED = ("CMYK", "LAB", "HSV")  # modes whose colours depend on a profile


def doubts(column: Column, most: int = MOST) -> Iterator[tuple[int, str]]:
    """Rows of which a person should know how they are read, each with what to know.

    Args:
        column: As :func:`mmvae_images.pixels.read` takes it; what cannot be read is passed over.
        most: See :func:`mmvae_images.pixels.read`.
    """
    for row, value in enumerate(column.values):
        try:
            image = as_image(value, row, most)
            if image is None:
                found = _of_array(np.asarray(value))
            else:
                found = _of_image(image, *_frames_and_opacity(image, row))
        except (UnsupportedValue, ValueError):  # of which the reading itself says so
            continue
        for doubt in found:
            yield row, doubt


def _frames_and_opacity(picture: Image.Image, row: int) -> tuple[int, int]:
    """How many pictures are in the file of this one, and its least opacity, 0..255.

    Raises:
        UnsupportedValue: It is damaged.
    """
    opacity = 255
    try:
        picture.load()
        frames = getattr(picture, "n_frames", 1)
        if picture.has_transparency_data:
            opacity = int(np.asarray(picture.convert("RGBA"))[..., 3].min())
    except Exception as error:  # as in opened
        raise UnsupportedValue(row, f"a picture ({said(error)})", "a whole picture") from None
    return int(frames), opacity


def _of_array(pixels: Pixels) -> Iterator[str]:
    if pixels.dtype.kind not in "iu" or not pixels.size:
        return
    if pixels.max() == 1:
        yield "pixels of 0 and 1 alone, read as levels of 0..255: black (white is 255, or true)"
    elif pixels.dtype.itemsize == 2:
        yield f"pixels of type {pixels.dtype}, read as levels of 0..255"


def _of_image(picture: Image.Image, frames: int, opacity: int) -> Iterator[str]:
    if frames > 1 and picture.format != "MPO":  # from cameras; the first frame is the full picture
        yield "several pictures in one file, of which the first is read"
    if picture.info.get(CUT):
        yield "16 bits a channel, read as 8"
    if opacity < 255:
        yield "transparent pixels, laid on white"
    if picture.mode in _PROFILED:
        yield f"colours as {picture.mode}, converted without their profile"
    if picture.mode in ("L", "RGB"):
        yield from _of_array(np.asarray(picture))

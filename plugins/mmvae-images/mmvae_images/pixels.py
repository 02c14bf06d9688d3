"""Pixels: raw pictures in any of the forms that sources give, read into one array.

Integers are grey levels 0..255 and floats lie in [0, 1]: the dtype declares the scale, which is
never guessed from the values. Pictures are read upright, as EXIF says, and transparent pictures
are laid on white, as a page shows them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from einops import rearrange
from PIL import Image

from mmvae import Column, UnsupportedValue
from mmvae_images.picture import MODES, MOST, as_image, converted

Pixels = np.ndarray[Any, Any]

_FILL = "Fill NaN and masked values, or leave the whole picture out."


def describe(shape: tuple[int, ...]) -> str:
    """Name the shape (channels, height, width) of a picture: ``"28×28×1"``."""
    channels, height, width = shape
    return f"{height}×{width}×{channels}"


def read(column: Column, channels: int | None = None, most: int = MOST) -> Pixels:
    """Read pictures: uint8 in 0..255 or float32 in [0, 1], shape (n, channels, height, width).

    Args:
        column: An array (n, height, width) or (n, height, width, channels), or a list of arrays,
            PIL images, encoded files (``bytes`` or ``{"bytes": …}``) or paths, all of one size.
        channels: 1 converts PIL images and files to grey, 3 to RGB; None takes them as they are.
        most: How many pixels a picture that is decoded may have.

    Raises:
        UnsupportedValue: A picture cannot be read, has too many pixels, differs in size from the
            first, or has a pixel out of range.
    """
    values = column.values
    _refuse_masked(values)
    if isinstance(values, np.ndarray) and values.dtype != object:
        return _checked(values, channels)
    pictures = [_decoded(picture, row, channels, most) for row, picture in enumerate(values)]
    return _checked(_stacked(pictures), channels)


def _stacked(pictures: list[Pixels]) -> Pixels:
    for row, picture in enumerate(pictures):
        if picture.shape != pictures[0].shape:
            raise UnsupportedValue(
                row,
                f"a picture of shape {picture.shape}",
                f"the shape of the first one, {pictures[0].shape}",
                "Crop or scale the pictures to one size and mode first.",
            )
    if len({picture.dtype for picture in pictures}) > 1:  # each has its own scale
        pictures = [_in_range(picture, row) for row, picture in enumerate(pictures)]
    if len({picture.dtype for picture in pictures}) > 1:
        pictures = [p if p.dtype == np.float32 else p / np.float32(255) for p in pictures]
    return np.stack(pictures) if pictures else np.zeros((0, 1, 1), np.uint8)


def _decoded(picture: Any, row: int, channels: int | None, most: int) -> Pixels:
    """One picture in any form → array (height, width) or (height, width, channels)."""
    image = as_image(picture, row, most)
    if image is not None:
        return np.asarray(converted(image, channels, row))
    if isinstance(picture, (np.ndarray, list, tuple)):
        return _array(picture, row)
    raise UnsupportedValue(
        row, type(picture).__name__, "a PIL image, an array, an encoded image or a path"
    )


def _array(picture: Any, row: int) -> Pixels:
    _refuse_masked(picture, row)
    try:
        return np.asarray(picture)
    except ValueError:
        raise UnsupportedValue(
            row, "lines of different length", "a picture whose lines are equally long"
        ) from None


def _checked(pixels: Pixels, channels: int | None) -> Pixels:
    if pixels.ndim == 3:
        pixels = pixels[..., None]
    if pixels.ndim != 4 or pixels.shape[-1] not in MODES or 0 in pixels.shape[1:]:
        raise UnsupportedValue(
            None,
            f"an array of shape {pixels.shape}",
            "shape (n, height, width) or (n, height, width, channels) with 1 or 3 channels",
        )
    if channels not in (None, pixels.shape[-1]):
        raise UnsupportedValue(
            None,
            f"arrays with {pixels.shape[-1]} channels",
            f"channels = {channels}",
            "Arrays are not converted: correct the key or the data.",
        )
    return np.ascontiguousarray(rearrange(_in_range(pixels), "n h w c -> n c h w"))


def _in_range(pixels: Pixels, row: int | None = None) -> Pixels:
    """Convert pixels (n, h, w, channels), or this row's picture, to uint8 or float32 in range."""
    if pixels.dtype == np.uint8:
        return pixels
    if pixels.dtype == bool:
        return pixels.astype(np.uint8) * np.uint8(255)
    if pixels.dtype.kind in "iu":
        _refuse(pixels, (pixels < 0) | (pixels > 255), "an integer pixel in 0..255", row)
        return pixels.astype(np.uint8)
    if pixels.dtype.kind == "f":
        if np.isnan(pixels).any():
            _refuse(pixels, np.isnan(pixels), "a pixel with a value", row, _FILL)
        _refuse(pixels, ~((pixels >= 0) & (pixels <= 1)), "a pixel in [0, 1]", row)
        return pixels.astype(np.float32)
    raise UnsupportedValue(
        row, f"pixels of type {pixels.dtype}", "integers in 0..255 or floats in [0, 1]"
    )


def _refuse_masked(pixels: Any, row: int | None = None) -> None:
    """Refuse pictures (n, …), or the picture in this row, if a mask hides one of their pixels.

    Raises:
        UnsupportedValue: A pixel is masked.
    """
    if np.ma.is_masked(pixels):
        first = int(np.argwhere(np.ma.getmaskarray(pixels))[0][0]) if row is None else row
        raise UnsupportedValue(first, "a masked pixel", "pixels without a mask", _FILL)


def _refuse(
    pixels: Pixels,
    bad: Pixels,
    expected: str,
    row: int | None,
    fix: str = "Scale the pixels, or give 8-bit integers.",
) -> None:
    if bad.any():
        place = tuple(np.argwhere(bad)[0])
        y, x = place[:2] if row is not None else place[1:3]
        where = f"{pixels[place]} at line {y}, column {x}"
        raise UnsupportedValue(int(place[0]) if row is None else row, where, expected, fix)


def to_pictures(pixels: Pixels) -> list[Image.Image]:
    """Turn uint8 pixels (n, height, width) or (n, height, width, 3) into PIL images."""
    return [Image.fromarray(p) for p in pixels]

"""Pixels: raw pictures in any of the forms that sources give, read into one array.

Integers count grey levels 0..255 and floats lie in [0, 1]: the dtype declares the scale, the
values are never looked at to guess it.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
from einops import rearrange
from PIL import Image

from mmvae import Column, UnsupportedValue

Pixels = np.ndarray[Any, Any]

MODES = {1: "L", 3: "RGB"}
_READABLE = {"1": "L", "L": "L", "RGB": "RGB"}  # modes that name their channels by themselves
_DEEP = ("I", "F", "I;16", "I;16B", "I;16L")  # converting them to 8 bits would clip


def describe(shape: tuple[int, ...]) -> str:
    """Name the shape (channels, height, width) of a picture: ``"28×28×1"``."""
    channels, height, width = shape
    return f"{height}×{width}×{channels}"


def read(column: Column, channels: int | None = None) -> Pixels:
    """Read pictures: uint8 in 0..255 or float32 in [0, 1], shape (n, channels, height, width).

    Args:
        column: An array (n, height, width) or (n, height, width, channels), or a list of arrays,
            PIL images, encoded files (``bytes`` or ``{"bytes": …}``) or paths, all of one size.
        channels: 1 converts PIL images and files to grey, 3 to RGB; None takes them as they are.

    Raises:
        UnsupportedValue: A picture cannot be read, differs in size from the first, or has a pixel
            out of range.
    """
    values = column.values
    if isinstance(values, np.ndarray) and values.dtype != object:
        return _checked(values, channels)
    return _checked(_stacked([_decoded(p, i, channels) for i, p in enumerate(values)]), channels)


def _stacked(pictures: list[Pixels]) -> Pixels:
    for row, picture in enumerate(pictures):
        if picture.shape != pictures[0].shape:
            raise UnsupportedValue(
                row,
                f"a picture of shape {picture.shape}",
                f"the shape of the first one, {pictures[0].shape}",
                "Crop or scale the pictures to one size and mode first.",
            )
    return np.stack(pictures) if pictures else np.zeros((0, 1, 1), np.uint8)


def _decoded(picture: Any, row: int, channels: int | None) -> Pixels:
    """One picture in any form → array (height, width) or (height, width, channels)."""
    if isinstance(picture, dict):
        picture = picture.get("bytes") or picture.get("path")
    if isinstance(picture, (bytes, str, Path)):
        picture = opened(picture, row)
    if isinstance(picture, Image.Image):
        return np.asarray(converted(picture, channels, row))
    if isinstance(picture, (np.ndarray, list, tuple)):
        return np.asarray(picture)
    raise UnsupportedValue(
        row, type(picture).__name__, "a PIL image, an array, an encoded image or a path"
    )


def opened(encoded: bytes | str | Path, row: int | None = None) -> Image.Image:
    """Decode an encoded picture or a picture file whole.

    Raises:
        UnsupportedValue: It cannot be read or is damaged.
    """
    where = f"{len(encoded)} bytes" if isinstance(encoded, bytes) else f"file {encoded}"
    try:
        picture = Image.open(io.BytesIO(encoded) if isinstance(encoded, bytes) else encoded)
        picture.load()
    except Exception as error:  # on damaged files its many parsers raise nearly anything
        raise UnsupportedValue(
            row, f"{where} ({error})", "a whole PNG, JPEG or other picture", "Replace the file."
        ) from None
    return picture


def converted(picture: Image.Image, channels: int | None, row: int | None = None) -> Image.Image:
    """Turn a picture into mode L or RGB.

    Raises:
        UnsupportedValue: Its mode has more than 8 bits, or needs ``channels`` to say what it is.
    """
    mode = MODES[channels] if channels else _READABLE.get(picture.mode)
    if mode is None or picture.mode in _DEEP:
        raise UnsupportedValue(
            row,
            f"a picture of mode {picture.mode}",
            "8-bit grey (L) or colour (RGB)",
            "Set channels = 1 or 3 to convert palettes and transparency; scale deeper pictures "
            "to 8 bits first.",
        )
    return picture if picture.mode == mode else picture.convert(mode)


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


def _in_range(pixels: Pixels) -> Pixels:
    if pixels.dtype == np.uint8:
        return pixels
    if pixels.dtype == bool:
        return pixels.astype(np.uint8) * np.uint8(255)
    if pixels.dtype.kind in "iu":
        _refuse(pixels, (pixels < 0) | (pixels > 255), "an integer pixel in 0..255")
        return pixels.astype(np.uint8)
    if pixels.dtype.kind == "f":
        _refuse(pixels, ~((pixels >= 0) & (pixels <= 1)), "a pixel in [0, 1]")
        return pixels.astype(np.float32)
    raise UnsupportedValue(
        None, f"pixels of type {pixels.dtype}", "integers in 0..255 or floats in [0, 1]"
    )


def _refuse(pixels: Pixels, bad: Pixels, expected: str) -> None:
    if bad.any():
        row, y, x, channel = np.argwhere(bad)[0]
        value = pixels[row, y, x, channel]
        raise UnsupportedValue(
            int(row),
            f"{value} at line {y}, column {x}",
            expected,
            "Scale the pixels, or give 8-bit integers.",
        )


def to_pictures(pixels: Pixels) -> list[Image.Image]:
    """Turn uint8 pixels (n, height, width) or (n, height, width, 3) into PIL images."""
    return [Image.fromarray(p) for p in pixels]

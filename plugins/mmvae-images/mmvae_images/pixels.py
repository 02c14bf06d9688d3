"""Pixels: raw pictures in any of the forms that sources give, read into one array.

Integers are grey levels 0..255 and floats lie in [0, 1]: the dtype declares the scale, which is
never guessed from the values. Pictures are read upright, as EXIF says, and transparent pictures
are laid on white, as a page shows them.
"""

from __future__ import annotations

import io
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from einops import rearrange
from PIL import Image, ImageOps

from mmvae import Column, UnsupportedValue
from mmvae.data.pictures import EXPECTED, begun, size_in_memory

Pixels = np.ndarray[Any, Any]

MODES = {1: "L", 3: "RGB"}
_READABLE = {"1": "L", "L": "L", "RGB": "RGB"}  # modes with self-explanatory channels
_DEEP = ("I", "F", "I;16", "I;16B", "I;16L")  # converting them to 8 bits would clip
_PROFILED = ("CMYK", "LAB", "HSV")  # modes whose colours depend on a profile
_FILL = "Fill NaN and masked values, or leave the whole picture out."
_CUT = "mmvae: 16 bits cut to 8"  # a key of Image.info


def describe(shape: tuple[int, ...]) -> str:
    """Name the shape (channels, height, width) of a picture: ``"28×28×1"``."""
    channels, height, width = shape
    return f"{height}×{width}×{channels}"


MOST = 50_000_000
"""Pixels of a picture that is decoded, unless a config says another number."""


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
    image = _image(picture, row, most)
    if image is not None:
        return np.asarray(converted(image, channels, row))
    if isinstance(picture, (np.ndarray, list, tuple)):
        return _array(picture, row)
    raise UnsupportedValue(
        row, type(picture).__name__, "a PIL image, an array, an encoded image or a path"
    )


def _image(picture: Any, row: int, most: int) -> Image.Image | None:
    """The PIL image of a picture that is one, or is encoded or in a file; else None."""
    if isinstance(picture, dict):
        picture = picture.get("bytes") or picture.get("path")
    if isinstance(picture, (bytes, str, Path)):
        return opened(picture, row, most)
    return picture if isinstance(picture, Image.Image) else None


def _array(picture: Any, row: int) -> Pixels:
    _refuse_masked(picture, row)
    try:
        return np.asarray(picture)
    except ValueError:
        raise UnsupportedValue(
            row, "lines of different length", "a picture whose lines are equally long"
        ) from None


def opened(encoded: bytes | str | Path, row: int | None = None, most: int = MOST) -> Image.Image:
    """Decode an encoded picture or a picture file whole.

    Args:
        encoded: The picture, or the path of its file.
        row: Its row, for messages.
        most: How many pixels it may have.

    Raises:
        UnsupportedValue: It cannot be read, is damaged, or has more pixels.
    """
    if isinstance(encoded, bytes):
        where = f"{len(encoded)} bytes"
    else:
        where, encoded = f"file {encoded}", _file(encoded, row)
    try:
        picture = begun(io.BytesIO(encoded) if isinstance(encoded, bytes) else encoded)
        _check_size(picture, where, row, most)
        cut = ";16" in str(getattr(picture, "tile", ""))  # what is not known once it is loaded
        picture.load()
    except UnsupportedValue:
        raise
    except Image.DecompressionBombError as error:
        raise UnsupportedValue(
            row, f"{where} ({error})", f"{most:,} pixels at most", "Scale it down."
        ) from None
    except Exception as error:  # on damaged files its many parsers raise nearly anything
        raise UnsupportedValue(
            row,
            f"{where} ({_said(error)})",
            EXPECTED,
            "Replace the file, or convert it to PNG.",
        ) from None
    picture.info[_CUT] = cut and picture.mode not in _DEEP
    return picture


def _check_size(picture: Image.Image, where: str, row: int | None, most: int) -> None:
    """Refuse a picture of too many pixels before it is decoded.

    Raises:
        UnsupportedValue: It is one.
    """
    height, width = size_in_memory(picture)
    if height * width > most:
        raise UnsupportedValue(
            row,
            f"{where}, a picture or tile of {height:,}×{width:,} pixels",
            f"{most:,} pixels at most",
            "Scale it down, or raise max_pixels of this modality.",
        )


def _file(path: str | Path, row: int | None) -> Path:
    """The file of this path, which ``~`` may begin.

    Raises:
        UnsupportedValue: There is none.
    """
    file = Path(os.path.expanduser(path))
    if os.path.isfile(file):  # unlike the method it takes any text
        return file
    exists = os.path.exists(file)
    what = "That is a folder or no regular file" if exists else "There is no such file"
    place = str(file.absolute())
    absolute = f": {place[:500]}. Relative paths count from the working folder"
    fix = f"{what}{'' if place == str(path) else absolute}."
    raise UnsupportedValue(row, f"file {str(path)[:200]}", "the path of a picture", fix)


def converted(picture: Image.Image, channels: int | None, row: int | None = None) -> Image.Image:
    """Turn a picture into mode L or RGB, upright, on white where it is transparent.

    Raises:
        UnsupportedValue: Its mode has more than 8 bits, or is ambiguous without ``channels``, or
            it is damaged.
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
    try:
        upright = ImageOps.exif_transpose(picture)
        if upright.has_transparency_data:
            upright = on_white(upright)
        return upright if upright.mode == mode else upright.convert(mode)
    except Exception as error:  # as in opened: of an image that is not yet decoded, or its EXIF
        raise UnsupportedValue(
            row, f"a picture of mode {picture.mode} ({error})", "a whole picture", "Replace it."
        ) from None


def _said(error: Exception) -> str:
    """The message of a decoder, without the address of the bytes that it was given."""
    return re.sub(r" <[^<>]* at 0x[0-9a-fA-F]+>", "", str(error))


def on_white(picture: Image.Image) -> Image.Image:
    """Lay a transparent picture on white; otherwise hidden colours would appear."""
    page = Image.new("RGBA", picture.size, "white")
    return Image.alpha_composite(page, picture.convert("RGBA")).convert("RGB")


def doubts(column: Column, most: int = MOST) -> Iterator[tuple[int, str]]:
    """Rows of which a person should know how they are read, each with what to know.

    Args:
        column: As :func:`read` takes it; what cannot be read is passed over.
        most: See :func:`read`.
    """
    for row, value in enumerate(column.values):
        try:
            image = _image(value, row, most)
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
        raise UnsupportedValue(row, f"a picture ({_said(error)})", "a whole picture") from None
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
    if picture.info.get(_CUT):
        yield "16 bits a channel, read as 8"
    if opacity < 255:
        yield "transparent pixels, laid on white"
    if picture.mode in _PROFILED:
        yield f"colours as {picture.mode}, converted without their profile"
    if picture.mode in ("L", "RGB"):
        yield from _of_array(np.asarray(picture))


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

"""Pictures: PIL images and encoded files, decoded, upright and in grey or RGB."""

from __future__ import annotations

import io
import os
import re
from pathlib import Path
from typing import Any

from PIL import Image, ImageOps

from mmvae import UnsupportedValue
from mmvae.data.pictures import EXPECTED, begun, size_in_memory

MODES = {1: "L", 3: "RGB"}
_READABLE = {"1": "L", "L": "L", "RGB": "RGB"}  # modes with self-explanatory channels
_DEEP = ("I", "F", "I;16", "I;16B", "I;16L")  # converting them to 8 bits would clip
CUT = "mmvae: 16 bits cut to 8"  # a key of Image.info

MOST = 50_000_000
"""Pixels of a picture that is decoded, unless a config says another number."""


def as_image(picture: Any, row: int, most: int) -> Image.Image | None:
    """The PIL image of a picture that is one, or is encoded or in a file; else None."""
    if isinstance(picture, dict):
        picture = picture.get("bytes") or picture.get("path")
    if isinstance(picture, (bytes, str, Path)):
        return opened(picture, row, most)
    return picture if isinstance(picture, Image.Image) else None


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
            f"{where} ({said(error)})",
            EXPECTED,
            "Replace the file, or convert it to PNG.",
        ) from None
    picture.info[CUT] = cut and picture.mode not in _DEEP
    return picture


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


def on_white(picture: Image.Image) -> Image.Image:
    """Lay a transparent picture on white; otherwise hidden colours would appear."""
    page = Image.new("RGBA", picture.size, "white")
    return Image.alpha_composite(page, picture.convert("RGBA")).convert("RGB")


def said(error: Exception) -> str:
    """The message of a decoder, without the address of the bytes that it was given."""
    return re.sub(r" <[^<>]* at 0x[0-9a-fA-F]+>", "", str(error))


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

"""Encoded pictures: the formats that are opened, and their sizes before anything is decoded.

The header of each of these formats says how large a picture is decoded. Others are not opened:
icons hold further pictures of other sizes, PostScript is a program, and each format is one more
parser that a malicious file may attack.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import IO

from PIL import Image, UnidentifiedImageError

FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
"""Pillow's names of the formats that are opened; PPM has PGM and PBM in it, JPEG has MPO."""

EXPECTED = f"a whole picture of the format {', '.join(FORMATS[:-1])} or {FORMATS[-1]}"
"""What an encoded picture should be, for messages."""

TILE_WIDTH, TILE_LENGTH = 322, 323
"""Tags of TIFF with the size of a tile."""


def begun(file: IO[bytes] | Path) -> Image.Image:
    """A picture of which only the header is read, without Pillow's warning of its size.

    Raises:
        ValueError: It has another format, or none.
        Exception: Of any kind, as Pillow's parsers raise it of a damaged header.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        try:
            return Image.open(file, formats=FORMATS)
        except UnidentifiedImageError:
            raise ValueError("no picture of a known format") from None


def size_in_memory(picture: Image.Image) -> tuple[int, int]:
    """Height and width of the largest part that is decoded at once, in pixels.

    It is the picture, or a tile of TIFF, which may be larger than the picture.

    Raises:
        ValueError: The size of a tile is no number.
    """
    tags = getattr(picture, "tag_v2", {})
    tile = tags.get(TILE_LENGTH, 0), tags.get(TILE_WIDTH, 0)
    if not all(isinstance(side, int) for side in tile):
        raise ValueError(f"a tile of {tile[0]}×{tile[1]} pixels")
    return max((picture.height, picture.width), tile, key=lambda size: size[0] * size[1])

"""Pictures that commands write: PNG files and contact sheets."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL import Image


GAP = 2
SMALLEST = 64
"""Tiles of a contact sheet are enlarged by an integer factor to at least this many pixels."""


def png(picture: Image.Image) -> bytes:
    """Encode a picture as PNG."""
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()


def contact_sheet(pictures: Sequence[Image.Image]) -> Image.Image:
    """Arrange pictures of one size on one sheet, row by row, as square as possible."""
    from PIL import Image

    across = math.ceil(math.sqrt(len(pictures)))
    down = math.ceil(len(pictures) / across)
    width, height = pictures[0].size
    factor = math.ceil(SMALLEST / max(width, height))
    width, height = width * factor, height * factor
    size = (across * (width + GAP) - GAP, down * (height + GAP) - GAP)
    sheet = Image.new("RGB", size, "white")
    for i, picture in enumerate(pictures):
        tile = picture.convert("RGB").resize((width, height), Image.Resampling.NEAREST)
        sheet.paste(tile, (i % across * (width + GAP), i // across * (height + GAP)))
    return sheet

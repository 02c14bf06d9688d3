"""Strips: a row for each face, with pictures and lists of attributes side by side."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from PIL import Image

from mmvae.foundations.printable import printable, short_name
from mmvae.report.canvas import LABEL, new_figure, png
from mmvae_faces.edit import signed

SIDE = 1.15
"""Size of a picture, in inches."""

LIST = 1.4
"""Width of a list of attributes, in inches."""

LISTED = 10
"""Maximum number of attributes in a list."""


def strip(titles: Sequence[str], rows: Sequence[Sequence[Any]]) -> bytes:
    """Draw rows of pictures (PIL) and lists (text) under the titles of their columns: a PNG file.

    Args:
        titles: One for each column.
        rows: Cells, all rows alike.
    """
    widths = [SIDE if isinstance(cell, Image.Image) else LIST for cell in rows[0]]
    lines = [textwrap.fill(printable(title, one_line=True), 17) for title in titles]
    height = SIDE * len(rows) + 0.17 * (1 + max(line.count("\n") + 1 for line in lines))
    figure = new_figure(sum(widths) + 0.1 * len(widths), height + 0.05 * len(rows))
    figure.set_layout_engine("constrained", w_pad=0.02, h_pad=0.02, wspace=0, hspace=0)
    panels = figure.subplots(len(rows), len(titles), squeeze=False, width_ratios=widths)
    for row, cells in zip(panels, rows, strict=True):
        for panel, cell in zip(row, cells, strict=True):
            draw(panel, cell)
    for panel, line, cell in zip(panels[0], lines, rows[0], strict=True):
        side = "center" if isinstance(cell, Image.Image) else "left"
        panel.set_title(line, fontsize=LABEL, pad=3, loc=side)
    return png(figure)


def draw(panel: Any, cell: Any) -> None:
    """One picture, or one list, into its panel."""
    panel.set_axis_off()
    if isinstance(cell, Image.Image):
        panel.imshow(cell.convert("RGB"), interpolation="nearest")
        return
    panel.set_box_aspect(SIDE / LIST)
    panel.text(0.02, 0.98, cell, ha="left", va="top", fontsize=6.5, transform=panel.transAxes)


def listed(values: Mapping[str, float], first: Sequence[str] = ()) -> str:
    """Attributes with their values, a line for each: these first, then the highest others."""
    names = list(dict.fromkeys([*first, *sorted(values, key=lambda name: -values[name])]))[:LISTED]
    return "\n".join(
        f"{signed(values[n], '.2f')}  {short_name(n.replace('_', ' '))}" for n in names
    )

"""Pictures drawn with matplotlib, without a window: colours, sizes, sheets of values.

Colours are those of Okabe and Ito (2008), which people with any colour vision tell apart; grey
stands for their yellow, which is faint on white.
"""

from __future__ import annotations

import io
import itertools
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from PIL import Image

from mmvae.errors import UsageError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DPI = 150
OKABE_ITO = (
    "#0072B2",
    "#E69F00",
    "#009E73",
    "#D55E00",
    "#56B4E9",
    "#CC79A7",
    "#7F7F7F",
    "#000000",
)
MARKERS = "os^DvP*X<>"
CELL = 0.62  # inches
TEXT_ROW = 0.5  # height of a row without pictures, in cells


@dataclass(frozen=True)
class Picture:
    """A figure with its words.

    Attributes:
        name: Its file in the figures folder, without the ending.
        title: What it is.
        caption: How to read it, and what was run.
        png: The file's content.
    """

    name: str
    title: str
    caption: str
    png: bytes


def require_matplotlib() -> None:
    """Check that pictures can be drawn.

    Raises:
        UsageError: matplotlib is not installed.
    """
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        raise UsageError(
            "The pictures of a report need matplotlib, which is not installed: "
            "pip install 'mmvae[plot]'"
        ) from None


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of this size in inches, bound to no window."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), dpi=DPI, layout="constrained")


def png(figure: Figure) -> bytes:
    """The figure as a PNG file."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    buffer = io.BytesIO()
    canvas: Any = FigureCanvasAgg(figure)
    canvas.print_png(buffer, metadata={"Software": None})  # without the version of matplotlib
    return buffer.getvalue()


def sheet(
    rows: Sequence[Sequence[Any]],
    row_labels: Sequence[str],
    column_groups: Sequence[tuple[str, int]] = (),
) -> bytes:
    """Values in rows and columns: pictures as pictures, anything else as text.

    Args:
        rows: Cells, as codecs show them; all rows of equal length.
        row_labels: One for each row.
        column_groups: Names of neighbouring columns and how many each has, ruled off; or none.

    Returns:
        A PNG file.
    """
    width = len(rows[0])
    heights = [
        1.0 if any(isinstance(value, Image.Image) for value in row) else TEXT_ROW for row in rows
    ]
    middles = [sum(heights[:r]) + heights[r] / 2 for r in range(len(rows))]
    starts = list(itertools.accumulate((count for _, count in column_groups), initial=0))
    margin = 0.25 + 0.085 * max(map(len, row_labels))
    figure = new_figure(margin + CELL * width, 0.3 + CELL * sum(heights))
    axes = figure.add_subplot(aspect="equal")
    axes.set_yticks(middles, list(row_labels), fontsize=9)
    axes.set_xticks(
        [start + count / 2 for start, (_, count) in zip(starts, column_groups, strict=False)],
        [name for name, _ in column_groups],
        fontsize=9,
    )
    axes.xaxis.tick_top()
    axes.tick_params(length=0)
    for side in axes.spines.values():
        side.set_visible(False)
    for middle, row in zip(middles, rows, strict=True):
        for c, value in enumerate(row):
            draw_cell(axes, value, c + 0.5, middle)
    for start in starts[1:-1]:
        axes.axvline(start, color="black", linewidth=1)
    axes.set(xlim=(0, width), ylim=(sum(heights), 0))
    return png(figure)


def draw_cell(axes: Axes, value: Any, x: float, y: float) -> None:
    """Draw one value into the unit square around (x, y)."""
    if not isinstance(value, Image.Image):
        text = textwrap.shorten(str(value), 40, placeholder="…")
        lines = textwrap.wrap(text, 9)[:4]
        size = 13 if len(text) <= 3 else 6.5
        axes.text(x, y, "\n".join(lines), ha="center", va="center", fontsize=size)
        return
    side = 0.94 / max(value.size)
    half_width, half_height = value.width * side / 2, value.height * side / 2
    extent = (x - half_width, x + half_width, y + half_height, y - half_height)
    scale: dict[str, Any] = {"cmap": "gray", "vmin": 0, "vmax": 255} if value.mode == "L" else {}
    axes.imshow(value, extent=extent, interpolation="nearest", aspect="equal", **scale)

"""Pictures drawn with matplotlib, without a window: colours, sizes, sheets of values.

Colours are those of Okabe and Ito (2008), which people with any colour vision tell apart.
"""

from __future__ import annotations

import io
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
    "#F0E442",
    "#000000",
)
MARKERS = "os^DvP*X<>"
CELL = 0.62  # inches


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
    column_labels: Sequence[str] = (),
    rule_after: int | None = None,
) -> bytes:
    """Values in rows and columns: pictures as pictures, anything else as text.

    Args:
        rows: Cells, as codecs show them; all rows of equal length.
        row_labels: One for each row.
        column_labels: One for each column, or none.
        rule_after: Draw a line after this many columns.

    Returns:
        A PNG file.
    """
    n, width = len(rows), len(rows[0])
    margin = 0.25 + 0.085 * max(map(len, row_labels))
    figure = new_figure(margin + CELL * width, 0.3 + CELL * n)
    axes = figure.add_subplot()
    axes.set(xlim=(0, width), ylim=(n, 0), aspect="equal")
    axes.set_yticks([r + 0.5 for r in range(n)], list(row_labels), fontsize=9)
    axes.set_xticks([c + 0.5 for c in range(len(column_labels))], list(column_labels), fontsize=9)
    axes.xaxis.tick_top()
    axes.tick_params(length=0)
    for side in axes.spines.values():
        side.set_visible(False)
    for r, row in enumerate(rows):
        for c, value in enumerate(row):
            draw_cell(axes, value, c, r)
    if rule_after is not None:
        axes.axvline(rule_after, color="black", linewidth=1)
    axes.set(xlim=(0, width), ylim=(n, 0))
    return png(figure)


def draw_cell(axes: Axes, value: Any, column: int, row: int) -> None:
    """Draw one value into the unit square at (column, row)."""
    if not isinstance(value, Image.Image):
        text = textwrap.shorten(str(value), 40, placeholder="…")
        lines = textwrap.wrap(text, 9)[:4]
        size = 13 if len(text) <= 3 else 6.5
        axes.text(
            column + 0.5, row + 0.5, "\n".join(lines), ha="center", va="center", fontsize=size
        )
        return
    side = 0.94 / max(value.size)
    half_width, half_height = value.width * side / 2, value.height * side / 2
    extent = (
        column + 0.5 - half_width,
        column + 0.5 + half_width,
        row + 0.5 + half_height,
        row + 0.5 - half_height,
    )
    scale: dict[str, Any] = {"cmap": "gray", "vmin": 0, "vmax": 255} if value.mode == "L" else {}
    axes.imshow(value, extent=extent, interpolation="nearest", aspect="equal", **scale)

"""Images drawn with matplotlib, without a window: colours, sizes, sheets of values.

Colours are those of Okabe and Ito (2008), which people with any colour vision can distinguish;
grey replaces their yellow, which is faint on white. More than eight classes get the ten colours of
Paul Tol's "muted" scheme, likewise with a darker grey.
"""

from __future__ import annotations

import io
import itertools
import re
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from PIL import Image

from mmvae.foundations.errors import UsageError
from mmvae.foundations.printable import printable, short_name

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
TOL_MUTED = (
    "#332288",
    "#CC6677",
    "#117733",
    "#88CCEE",
    "#999933",
    "#882255",
    "#44AA99",
    "#DDCC77",
    "#AA4499",
    "#7F7F7F",
)
MARKERS = "osDXP*v<>^"
CELL = 0.62  # inches
TEXT_ROW = 0.5  # height of a row without pictures, in cells
MOST_OF_A_LABEL = 60  # characters of a name beside a row or above a column
LABEL = 9  # size of the names of rows and columns, in points
TITLE = 11  # size of the titles of blocks, in points
EDGE = 0.08  # around a sheet, in inches
GAP = 0.5  # between blocks, in cells

LARGEST = 1e100
"""Largest number that is drawn to scale: matplotlib's differences and margins leave float64."""

LONG_NUMBER = re.compile(r"(?<![\w.])-?\d+\.\d{2,}(e[-+]?\d+)?(?![\w.])", re.IGNORECASE)


@dataclass(frozen=True)
class Picture:
    """A figure with title, caption and numbers.

    Attributes:
        name: Its file in the figures folder, without the ending.
        title: Its title.
        caption: How to read it, and what was run.
        png: The file's content.
        numbers: The plotted numbers, by name.
    """

    name: str
    title: str
    caption: str
    png: bytes
    numbers: Mapping[str, Any] = field(default_factory=dict)


def require_matplotlib() -> None:
    """Check that figures can be drawn.

    Raises:
        UsageError: matplotlib is not installed.
    """
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        raise UsageError(
            "Pictures need matplotlib, which is not installed: pip install 'mmvae[plot]'"
        ) from None


def new_figure(width: float, height: float) -> Figure:
    """Create an empty figure of this size in inches, bound to no window."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), dpi=DPI, layout="constrained")


def png(figure: Figure) -> bytes:
    """Render the figure as a PNG file, with all texts literal: a ``$`` starts no formula."""
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.text import Text

    buffer = io.BytesIO()
    canvas: Any = FigureCanvasAgg(figure)
    for text in figure.findobj(Text):
        text.set_parse_math(False)
    with rc_context({"text.parse_math": False}):  # texts that are created during drawing
        canvas.print_png(buffer, metadata={"Software": None})  # without matplotlib's version
    return buffer.getvalue()


def class_styles(n: int) -> list[tuple[str, str]]:
    """A colour and a marker for each of n classes.

    With more than ten classes, those that share a colour have clearly different markers.
    """
    colours = OKABE_ITO if n <= len(OKABE_ITO) else TOL_MUTED
    half = len(MARKERS) // 2
    return [
        (colours[k % len(colours)], MARKERS[(k + k // len(colours) * half) % len(MARKERS)])
        for k in range(n)
    ]


def sheet(
    rows: Sequence[Sequence[Any]],
    row_labels: Sequence[str],
    column_groups: Sequence[tuple[str, int]] = (),
    blocks: Sequence[tuple[str, int]] = (),
) -> bytes:
    """Draw values in rows and columns: images as images, anything else as text.

    Args:
        rows: Cells, as codecs show them; all rows of equal length.
        row_labels: One for each row.
        column_groups: Names of neighbouring columns and the number of each, ruled off; or none.
        blocks: Titles of neighbouring columns and the number of each, set apart by a space; or
            none. A block ends where a group does.

    Returns:
        A PNG file.
    """
    width = len(rows[0])
    row_labels = [short_name(name, MOST_OF_A_LABEL) for name in row_labels]
    column_groups = [(short_name(name, MOST_OF_A_LABEL), count) for name, count in column_groups]
    blocks = [(short_name(name, MOST_OF_A_LABEL), count) for name, count in blocks]
    heights = [
        1.0 if any(isinstance(value, Image.Image) for value in row) else TEXT_ROW for row in rows
    ]
    middles = [sum(heights[:r]) + heights[r] / 2 for r in range(len(rows))]
    block_ends = list(itertools.accumulate(count for _, count in blocks or [("", width)]))
    places = [c + GAP * sum(c >= end for end in block_ends) for c in range(width)]
    whole = places[-1] + 1
    left = 0.2 + max(map(text_width, row_labels))
    top = (0.3 if column_groups else EDGE) + (0.3 if blocks else 0)
    across, down = left + CELL * whole + EDGE, top + CELL * sum(heights) + EDGE
    figure = new_figure(across, down)
    figure.set_layout_engine("none")  # all sizes are known
    box = (left / across, EDGE / down, CELL * whole / across, CELL * sum(heights) / down)
    axes = figure.add_axes(box, aspect="equal")
    axes.set_yticks(middles, list(row_labels), fontsize=LABEL)
    spans = list(spanned(column_groups, places))
    axes.set_xticks(
        [(start + end) / 2 for _, start, end in spans],
        [name for name, _, _ in spans],
        fontsize=LABEL,
    )
    axes.xaxis.tick_top()
    axes.tick_params(length=0)
    for side in axes.spines.values():
        side.set_visible(False)
    for middle, row in zip(middles, rows, strict=True):
        for place, value in zip(places, row, strict=True):
            draw_cell(axes, value, place + 0.5, middle)
    for (_, _, end), (_, start, _) in itertools.pairwise(spans):
        if start == end:  # else there is a white space
            axes.axvline(start, color="black", linewidth=1)
    lift = (0.3 if column_groups else 0.08) / CELL
    for name, start, end in spanned(blocks, places):
        axes.text(
            (start + end) / 2, -lift, name, ha="center", va="bottom", fontsize=TITLE, clip_on=False
        )
    axes.set(xlim=(0, whole), ylim=(sum(heights), 0))
    return png(figure)


def spanned(
    groups: Sequence[tuple[str, int]], places: Sequence[float]
) -> Iterator[tuple[str, float, float]]:
    """Yield each group's name, and its start and end."""
    first = 0
    for name, count in groups:
        yield name, places[first], places[first + count - 1] + 1
        first += count


def text_width(text: str) -> float:
    """Width of a row's label, in inches."""
    from matplotlib import rc_context
    from matplotlib.textpath import TextPath

    if not text.strip():
        return 0.0
    with rc_context({"text.parse_math": False}):
        return float(TextPath((0, 0), text, size=LABEL).get_extents().width) / 72


def short_numbers(text: str) -> str:
    """Shorten the decimal numbers of a text to four digits, so that they fit a cell."""
    return LONG_NUMBER.sub(lambda match: f"{float(match[0]):.4g}", text)


def draw_cell(axes: Axes, value: Any, x: float, y: float) -> None:
    """Draw one value into the unit square around (x, y)."""
    if not isinstance(value, Image.Image):
        shown = printable(short_numbers(str(value)), one_line=True)
        text = textwrap.shorten(shown, 40, placeholder="…")
        lines = textwrap.wrap(text, 10)[:4]
        size = 13 if len(text) <= 3 else 6.5
        axes.text(x, y, "\n".join(lines), ha="center", va="center", fontsize=size)
        return
    side = 0.94 / max(value.size)
    half_width, half_height = value.width * side / 2, value.height * side / 2
    extent = (x - half_width, x + half_width, y + half_height, y - half_height)
    scale: dict[str, Any] = {"cmap": "gray", "vmin": 0, "vmax": 255} if value.mode == "L" else {}
    axes.imshow(value, extent=extent, interpolation="nearest", aspect="equal", **scale)

"""The coherence matrix as a heat map: given-sets down, targets across."""

from __future__ import annotations

import math
from collections.abc import Sequence

from mmvae.report.canvas import Picture, new_figure, png, text_width
from mmvae.report.report_subject import ReportSubject

ROW, COLUMN = 0.21, 0.78
"""Height and width of a cell, in inches."""

DARK = 0.6
"""Shares above this have a light background and get dark letters."""


def coherence_maps(subject: ReportSubject) -> list[Picture]:
    """A heat map for each modality with classes; none for a model of two modalities."""
    evaluation = subject.evaluation
    pictures = []
    for label, matrix in evaluation.get("coherence matrix", {}).items():
        cells = matrix["cells"]
        columns = [m for m in evaluation["modalities"] if any(m in row for row in cells.values())]
        shares = [
            [row[m]["mean"] if m in row else math.nan for m in columns] for row in cells.values()
        ]
        own = matrix["classifier on real items"].values()
        best = f"{100 * max((f['mean'] for f in own), default=1):.1f}"
        caption = (
            f"Share, in percent, of the values generated from the given modalities (rows) that "
            f"show the {label} of the item, according to a classifier trained on real items; "
            f"{label} itself is compared directly. z is one sample of q(z|given). Grey: among the "
            f"given. On real items the best of the classifiers is right for {best} %. "
            + subject.origin
        )
        drawn = draw(shares, list(cells), columns)
        pictures.append(
            Picture(f"coherence-{label}", f"Coherence: {label}", caption, drawn, cells)
        )
    return pictures


def draw(shares: Sequence[Sequence[float]], rows: Sequence[str], columns: Sequence[str]) -> bytes:
    """Draw a heat map of shares in [0, 1], NaN in grey, with percentages: a PNG file."""
    from matplotlib import colormaps

    left = 0.35 + max(map(text_width, rows))
    width, height = left + COLUMN * len(columns) + 0.9, 0.75 + ROW * len(rows)
    figure = new_figure(width, max(height, 1.8))
    panel = figure.subplots()
    colours = colormaps["viridis"].with_extremes(bad="#DDDDDD")
    image = panel.imshow(shares, cmap=colours, vmin=0, vmax=1, aspect="auto")
    for r, row in enumerate(shares):
        for c, share in enumerate(row):
            if not math.isnan(share):
                colour = "black" if share > DARK else "white"
                text = f"{100 * share:.0f}"
                panel.text(c, r, text, ha="center", va="center", fontsize=8, color=colour)
    for r, (above, below) in enumerate(zip(rows, rows[1:], strict=False)):
        if above.count("+") != below.count("+"):
            panel.axhline(r + 0.5, color="white", linewidth=2.5)
    panel.set_yticks(range(len(rows)), list(rows), fontsize=8)
    panel.set_xticks(range(len(columns)), list(columns), fontsize=9)
    panel.xaxis.tick_top()
    panel.xaxis.set_label_position("top")
    panel.set_xlabel("generated", fontsize=9)
    panel.set_ylabel("given", fontsize=9)
    panel.tick_params(length=0)
    for side in panel.spines.values():
        side.set_visible(False)
    bar = figure.colorbar(
        image,
        ax=panel,
        fraction=0.3 / width,
        shrink=min(1.0, 3.0 / height),
        anchor=(0.0, 1.0),
        aspect=12,
        format=lambda share, _: f"{100 * share:.0f} %",
    )
    bar.ax.tick_params(labelsize=8)
    return png(figure)

"""Point clouds: one panel each, all at one scale, with a colour and marker for every class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from mmvae.foundations.printable import short_name
from mmvae.report.canvas import OKABE_ITO, class_styles, new_figure, png
from mmvae.report.classes import Classes
from mmvae.report.formats import percent

SIDE = 3.4
"""Size of a panel, in inches."""

ACROSS = 4
"""Maximum number of panels in a row."""

ROUNDS = 20
"""Number of turns in which classes are drawn, so that no class covers the others."""

AREAS = {"o": 11, "s": 9, "D": 8, "X": 12, "P": 12, "*": 20, "v": 13, "<": 13, ">": 13, "^": 13}
"""Scale of each marker, so that all look equally large; square points."""


@dataclass(frozen=True)
class Cloud:
    """Samples of one posterior.

    Attributes:
        title: The run or posterior.
        points: In two dimensions, (n, 2).
        own: True if those are the dimensions of z itself, without projection.
        classes: The class of each, int64 (n,), or None.
        accuracy: Accuracy of the probe, mean and error over items, or None.
        judged: Number of items that it was measured on.
        known: Number of training items of the probe.
    """

    title: str
    points: Tensor
    own: bool
    classes: Tensor | None = None
    accuracy: dict[str, float | None] | None = None
    judged: int = 0
    known: int = 0


def draw_clouds(clouds: Sequence[Cloud], classes: Classes | None) -> bytes:
    """Draw panels side by side at one scale, each with the probe's accuracy below: a PNG file."""
    across = min(len(clouds), ACROSS)
    down = -(-len(clouds) // across)
    legend = 0.0 if classes is None else 0.5 + 0.075 * max(map(len, classes.names))
    figure = new_figure(SIDE * across + legend, (SIDE + 0.55) * down)
    figure.set_layout_engine("constrained", w_pad=0.1)
    panels = figure.subplots(down, across, squeeze=False).flatten()
    x_limits, y_limits = limits(clouds)
    for i, (panel, cloud) in enumerate(zip(panels, clouds, strict=False)):
        scatter(panel, cloud, classes)
        panel.set(xlim=x_limits, ylim=y_limits, aspect="equal")
        panel.set_title(short_name(cloud.title, 60), fontsize=11)
        axes = ("z₁", "z₂") if cloud.own else ("first direction", "second direction")
        below = (
            "" if cloud.accuracy is None else f"\nnearest neighbours: {percent(cloud.accuracy)}"
        )
        panel.set_xlabel(axes[0] + below, fontsize=10, linespacing=1.5)
        if i % across == 0 or cloud.own != clouds[i - 1].own:
            panel.set_ylabel(axes[1], fontsize=10)
        panel.tick_params(labelsize=8)
    for panel in panels[len(clouds) :]:
        panel.set_axis_off()
    if classes is not None:
        figure.legend(
            handles=keys(classes),
            title=short_name(classes.word),
            loc="outside right center",
            fontsize=9,
        )
    return png(figure)


def limits(clouds: Sequence[Cloud]) -> tuple[tuple[float, float], tuple[float, float]]:
    """Limits of both axes: of equal length, and the same for all clouds."""
    points = torch.cat([cloud.points for cloud in clouds])
    low, high = points.amin(0), points.amax(0)
    middle, half = (low + high) / 2, max(float((high - low).max()) / 2 * 1.05, 1e-3)
    first, second = ((float(m) - half, float(m) + half) for m in middle)
    return first, second


def scatter(panel: Any, cloud: Cloud, classes: Classes | None) -> None:
    """Draw the points of one cloud, each class with its colour and marker."""
    if cloud.classes is None or classes is None:
        panel.scatter(*cloud.points.T.tolist(), s=8, color=OKABE_ITO[0], alpha=0.6, linewidths=0)
        return
    styles = class_styles(len(classes.names))
    for turn in range(ROUNDS):
        for k, (colour, marker) in enumerate(styles):
            points = cloud.points[cloud.classes == k][turn::ROUNDS]
            panel.scatter(
                *points.T.tolist(),
                s=AREAS[marker],
                color=colour,
                marker=marker,
                alpha=0.8,
                linewidths=0,
                zorder=2 + turn / ROUNDS,
            )


def keys(classes: Classes) -> list[Any]:
    """The legend entries of the classes."""
    from matplotlib.lines import Line2D

    names = [short_name(name) for name in classes.names]
    styles = zip(names, class_styles(len(classes.names)), strict=True)
    return [
        Line2D([], [], linestyle="", marker=marker, color=colour, markersize=6, label=name)
        for name, (colour, marker) in styles
    ]

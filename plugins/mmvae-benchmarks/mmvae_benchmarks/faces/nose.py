"""The nose."""

from __future__ import annotations

import numpy as np

from mmvae_benchmarks.faces.canvas import Canvas, Mask, curve, ellipse
from mmvae_benchmarks.faces.face import Face
from mmvae_benchmarks.faces.head import SIDES
from mmvae_benchmarks.faces.look import shade


def draw_nose(canvas: Canvas, face: Face, head: Mask) -> None:
    """The nose: its sides in shadow, bridge and tip in the light."""
    skin, tip = face.skin, 1.12 + face.look("nose_length", -0.06, 0.08)
    big, pointy = face["Big_Nose"], face["Pointy_Nose"]
    w = 0.78 if big else 0.28 if pointy else face.look("nose_width", 0.4, 0.48)
    edge = curve((0.26, -0.3), (0.19, 0.3), (0.55 * w, 0.75))
    wing = curve(
        (0.72 * w, tip - 0.32),
        (1.04 * w, tip - 0.1),
        (0.92 * w, tip + 0.12),
        (0.55 * w, tip + 0.13),
    )
    for side in SIDES:
        canvas.line(edge * (side, 1), shade(skin, 0.7), 0.18, 0.6, 0.1, head)
        canvas.line(wing * (side, 1), shade(skin, 0.5), 0.1 if big else 0.07, 0.85, 0.03, head)
        nostril = ellipse(0.5 * w * side, tip + 0.1, 0.19 * w + 0.03, 0.065, -0.2 * side)
        canvas.fill(nostril, shade(skin, 0.28), 0.9, 0.02, head)
    canvas.fill(ellipse(0, tip + 0.24, 0.9 * w, 0.12), shade(skin, 0.5), 0.55, 0.08, head)
    canvas.fill(ellipse(0, 0.25, 0.12, 0.75), shade(skin, 1.16), 0.75, 0.09, head)
    _draw_tip(canvas, face, head, tip)


def _draw_tip(canvas: Canvas, face: Face, head: Mask, tip: float) -> None:
    """The tip: a bulb, a ridge that ends in a point, or something between."""
    skin = face.skin
    if face["Big_Nose"]:
        canvas.fill(ellipse(0, tip - 0.14, 0.44, 0.3), shade(skin, 1.1), 0.8, 0.1, head)
        canvas.fill(ellipse(0, tip - 0.22, 0.2, 0.12), shade(skin, 1.3), 0.8, 0.07, head)
    elif face["Pointy_Nose"]:
        top, low = 0.1, tip - 0.05
        ridge = np.array([(-0.09, top), (0.09, top), (0.16, low), (0, tip + 0.2), (-0.16, low)])
        canvas.fill(ridge, shade(skin, 1.32), 0.85, 0.04, head)
        point = np.array([(-0.24, tip + 0.02), (0, tip + 0.27), (0.24, tip + 0.02)])
        canvas.line(point, shade(skin, 0.5), 0.08, 0.9, 0.02, head)
    else:
        canvas.fill(ellipse(0, tip - 0.12, 0.16, 0.15), shade(skin, 1.22), 0.7, 0.07, head)

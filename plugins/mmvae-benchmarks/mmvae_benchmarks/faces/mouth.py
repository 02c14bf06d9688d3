"""The mouth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mmvae_benchmarks.faces.canvas import Array, Canvas, Colour, Mask, arch, curve, ellipse
from mmvae_benchmarks.faces.face import Face
from mmvae_benchmarks.faces.head import SIDES
from mmvae_benchmarks.faces.look import hue, mix, shade


@dataclass(frozen=True)
class Lips:
    """Four lines from corner to corner, and the positions between them.

    Attributes:
        width: Half the width of the mouth.
        corner: Height of its corners.
        bottom: Height of the lower lip's inner edge in the middle.
        full: Thickness of the lower lip.
        upper_outer: Upper edge of the upper lip, (n, 2) from left to right; the others likewise.
        upper_inner: Its lower edge.
        lower_inner: Upper edge of the lower lip.
        lower_outer: Its lower edge.
    """

    width: float
    corner: float
    bottom: float
    full: float
    upper_outer: Array
    upper_inner: Array
    lower_inner: Array
    lower_outer: Array


def _lips(face: Face) -> Lips:
    look, smile, gape = face.look, face["Smiling"], face["Mouth_Slightly_Open"]
    y = 1.98 + look("mouth_height", -0.05, 0.05)
    w = look("mouth_width", 0.66, 0.74) + (0.3 if smile else -0.08 if gape else 0.0)
    thick = look("lip_thickness", 0.9, 1.1) * (2.0 if face["Big_Lips"] else 0.82)
    thick *= 1.0 if face["Young"] else 0.85
    top, full = 0.14 * thick, 0.2 * thick
    down = look("gape", 0.26, 0.34) if gape else 0.0
    lift, sag = (-0.3, 0.14) if smile else (0.06, 0.0)
    end = (w, y + lift)
    side = y + 0.75 * down + 0.3 * lift
    return Lips(
        width=w,
        corner=y + lift,
        bottom=y + down + sag,
        full=full,
        upper_outer=arch(
            (0, y - 0.72 * top + 0.2 * sag), (0.28 * w, y - top - 0.02 + 0.1 * lift), end
        ),
        upper_inner=arch((0, y + 0.5 * sag), (0.4 * w, y + 0.3 * lift + 0.2 * sag), end),
        lower_inner=arch((0, y + down + sag), (0.5 * w, side + 0.5 * sag), end),
        lower_outer=arch(
            (0, y + down + full + sag), (0.52 * w, side + 0.8 * full + 0.6 * sag), end
        ),
    )


def draw_mouth(canvas: Canvas, face: Face, head: Mask) -> None:
    """Lips; teeth or a dark gap between them where they part."""
    lips, colour, skin = _lips(face), _colour(face), face.skin
    under = ellipse(0, lips.bottom + lips.full + 0.16, 0.5, 0.1)
    canvas.fill(under, shade(skin, 0.62), 0.6, 0.08, head)
    canvas.fill(_between(lips.upper_outer, lips.lower_outer), colour, soft=0.015)
    canvas.fill(_between(lips.upper_outer, lips.upper_inner), shade(colour, 0.82))
    shine = ellipse(0, lips.bottom + 0.5 * lips.full, 0.4 * lips.width, 0.22 * lips.full)
    canvas.fill(shine, shade(colour, 1.2), 0.7, 0.05)
    if face["Mouth_Slightly_Open"]:
        gap = canvas.mask(_between(lips.upper_inner, lips.lower_inner))
        canvas.paint(gap, (52, 14, 18))
        shown = 0.66 if face["Smiling"] else 0.34
        teeth = lips.upper_inner + (lips.lower_inner - lips.upper_inner) * shown
        canvas.fill(_between(lips.upper_inner, teeth), (250, 248, 242), within=gap)
    else:
        canvas.line(lips.upper_inner, shade(colour, 0.35), 0.06)
    if face["Smiling"]:
        x, y = lips.width, lips.corner
        dimple = curve((x + 0.02, y - 0.2), (x + 0.16, y + 0.02), (x + 0.08, y + 0.26))
        for side in SIDES:
            canvas.line(dimple * (side, 1), shade(skin, 0.5), 0.08, 0.75, 0.04, head)


def _between(above: Array, below: Array) -> Array:
    return np.concatenate([above, below[::-1]])


def _colour(face: Face) -> Colour:
    if face["Wearing_Lipstick"]:
        return hue(face.look("lip_red", 0.93, 1.0) % 1, 0.86, face.look("lip_tone", 165, 215))
    natural = mix(shade(face.skin, 0.8), (176, 92, 84), 0.3)
    return shade(natural, face.look("lip_tone", 0.92, 1.0))

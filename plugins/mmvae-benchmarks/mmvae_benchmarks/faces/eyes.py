"""Eyes and brows."""

from __future__ import annotations

import numpy as np

from mmvae_benchmarks.faces.canvas import Array, Canvas, Colour, Mask, curve, ellipse
from mmvae_benchmarks.faces.face import Face
from mmvae_benchmarks.faces.head import SIDES
from mmvae_benchmarks.faces.look import hue, mix, ramp, shade

IRIS: list[Colour] = [(58, 36, 22), (92, 60, 32), (96, 110, 60), (70, 120, 160), (110, 140, 160)]
WHITE: Colour = (246, 243, 240)
LASH: Colour = (24, 16, 16)


def draw_eyes(canvas: Canvas, face: Face, head: Mask) -> None:
    """Sockets, whites, irises, lids and lashes."""
    for side in SIDES:
        canvas.fill(ellipse(side, -0.12, 0.66, 0.36), shade(face.skin, 0.55), 0.75, 0.16, head)
        if face["Heavy_Makeup"]:
            tint = hue(face.look("makeup_hue", 0.58, 0.92), 0.55, 120)
            lid = ellipse(1.04 * side, -0.24, 0.66, 0.3, -0.12 * side)
            canvas.fill(lid, mix(tint, shade(face.skin, 0.6), 0.12), 0.95, 0.09, head)
        upper, lower = _lids(face, side)
        _draw_ball(canvas, face, side, canvas.mask(np.concatenate([upper, lower[::-1]])))
        _draw_lashes(canvas, face, side, upper, lower)


def _lids(face: Face, side: int) -> tuple[Array, Array]:
    """Upper and lower lid of one eye, from the inner corner to the outer."""
    high, slant = face.openness, face.look("eye_slant", -0.02, 0.05)
    inner, outer = (0.54 * side, 0.05), (1.48 * side, -slant)
    upper = curve(inner, (0.78 * side, -0.8 * high), (1.12 * side, -high), outer)
    lower = curve(inner, (0.8 * side, 0.62 * high), (1.16 * side, 0.66 * high), outer)
    return upper, lower


def _draw_ball(canvas: Canvas, face: Face, side: int, opening: Mask) -> None:
    """White, iris and pupil, as far as the lids leave them open."""
    iris = shade(ramp(IRIS, face.look("iris") ** 1.6), face.look("iris_tone", 0.8, 1.0))
    x, y = 1.0 * side, -0.04
    canvas.paint(opening, WHITE)
    canvas.fill(ellipse(x, y, 0.25, 0.25), shade(iris, 0.55), within=opening)
    canvas.fill(ellipse(x, y, 0.2, 0.2), iris, within=opening)
    canvas.fill(ellipse(x, y, 0.11, 0.11), (8, 8, 10), within=opening)
    if not face["Narrow_Eyes"]:
        canvas.fill(ellipse(x - 0.07, y - 0.09, 0.055, 0.055), (255, 255, 255), within=opening)


def _draw_lashes(canvas: Canvas, face: Face, side: int, upper: Array, lower: Array) -> None:
    """Lines of the lids and of the crease above; lashes at the corner of a woman's eye."""
    made_up, male = face["Heavy_Makeup"], face["Male"]
    width = 0.13 if made_up else 0.08 if male else 0.09
    canvas.line(upper, LASH, width, 1.0 if made_up else 0.9)
    canvas.line(lower, shade(face.skin, 0.4), 0.06 if made_up else 0.035, 0.8)
    canvas.line(upper + (0, -0.15), shade(face.skin, 0.5), 0.045, 0.7, 0.02)
    for inset in () if male else (0.0, 0.12):
        hair = np.array([(1.36 - inset, -0.09 - inset), (1.62 - inset, -0.27 - inset)])
        canvas.line(hair * (side, 1), LASH, 0.55 * width)


def draw_brows(canvas: Canvas, face: Face) -> None:
    """Brows: thin or bushy, level or arched."""
    y = -0.66 - face.look("brow_height", 0.0, 0.1) + 0.08 * face["Male"]
    rise = 0.46 if face["Arched_Eyebrows"] else 0.07
    thick = (0.115 if face["Male"] else 0.085) + face.look("brow_width", 0.0, 0.02)
    if face["Bushy_Eyebrows"]:
        thick *= 2.5
    line = curve(
        (0.42, y + 0.12 - 0.6 * rise),
        (0.85, y - 0.92 * rise),
        (1.25, y - 0.95 * rise + 0.02),
        (1.7, y + 0.24),
    )
    taper = np.linspace(1.0, 0.35, len(line))[:, None] * (0, thick)
    brow = np.concatenate([line - taper, (line + 0.9 * taper)[::-1]])
    for side in SIDES:
        canvas.fill(brow * (side, 1), face.brow, 0.95, 0.02)

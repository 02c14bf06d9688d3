"""Clothes, necklace, tie, earrings, glasses and hat."""

from __future__ import annotations

import numpy as np

from mmvae_benchmarks.faces.canvas import (
    Array,
    Canvas,
    Colour,
    Mask,
    arch,
    curve,
    ellipse,
    loop,
    mirrored,
)
from mmvae_benchmarks.faces.face import Face
from mmvae_benchmarks.faces.head import SIDES
from mmvae_benchmarks.faces.look import hue, mix, shade

METAL: tuple[Colour, Colour] = ((250, 214, 90), (236, 240, 246))
SHADOW: Colour = (32, 24, 18)
SHINE: Colour = (255, 255, 255)


def draw_clothes(canvas: Canvas, face: Face) -> None:
    """Shoulders, and a tie in its collar."""
    look, tied = face.look, face["Wearing_Necktie"]
    cloth = hue(look("clothes_hue"), 0.5, look("clothes_tone", 50, 190))
    if tied:
        cloth = hue(0.62, 0.35, look("clothes_tone", 26, 62))
    cut = 0.5 if face["Male"] else 1.1
    neck = [(0.0, 4.6 + cut), (1.0, 4.2 + 0.4 * cut), (1.6, 3.75)]
    half = curve(*neck, (2.6, 4.15), (4.3, 4.7), (5.4, 5.8))
    canvas.fill(np.concatenate([half, [(5.4, 7.5), (-5.4, 7.5)], mirrored(half)]), cloth)
    for hem in (half, mirrored(half)):
        canvas.line(hem, shade(cloth, 0.6), 0.12, 0.7, 0.04)
    if tied:
        _draw_tie(canvas, hue(look("tie_hue"), 0.85, 170))


def _draw_tie(canvas: Canvas, colour: Colour, y: float = 3.32) -> None:
    white: Colour = (244, 245, 248)
    canvas.fill(np.array([(-1.6, y - 0.1), (1.6, y - 0.1), (1.2, 7.0), (-1.2, 7.0)]), white)
    flap = np.array([(0, y + 0.2), (1.62, y - 0.5), (1.75, y + 0.15), (0.75, y + 0.95)])
    for side in SIDES:
        canvas.fill(flap * (side, 1), shade(white, 0.9))
    canvas.fill(np.array([(-0.26, y + 0.5), (0.26, y + 0.5), (0.6, 7.2), (-0.6, 7.2)]), colour)
    knot = np.array([(-0.42, y), (0.42, y), (0.28, y + 0.55), (-0.28, y + 0.55)])
    canvas.fill(knot, shade(colour, 0.75))


def draw_necklace(canvas: Canvas, face: Face) -> None:
    """Beads around the neck."""
    if not face["Wearing_Necklace"]:
        return
    t = np.linspace(-1, 1, 15)
    x, y = 1.34 * t, 3.08 + face.look("necklace", 0.5, 0.75) * (1 - t**2)
    places = list(zip(x.tolist(), y.tolist(), strict=True))
    canvas.line(np.stack([x, y + 0.1], 1), SHADOW, 0.14, 0.6, 0.06)
    beads = [ellipse(u, v, 0.125, 0.125, n=10) for u, v in places]
    canvas.paint(canvas.mask(*beads), METAL[face.look("necklace_tone") > 0.5])
    glints = [ellipse(u - 0.03, v - 0.04, 0.05, 0.05, n=8) for u, v in places]
    canvas.paint(canvas.mask(*glints), SHINE)


def draw_earrings(canvas: Canvas, face: Face) -> None:
    """Drops or rings at the lobes, over the hair."""
    if not face["Wearing_Earrings"]:
        return
    metal, rings = METAL[face.look("earring_tone") > 0.5], face.look("earrings") < 0.5
    for side in SIDES:
        x, y = 2.2 * face.width * side, 1.05
        if rings:
            ring = ellipse(x, y + 0.08, 0.3, 0.36, n=24)
            ring = np.concatenate([ring, ring[:1]])
            canvas.line(ring + (0.03, 0.03), SHADOW, 0.16, 0.7)
            canvas.line(ring, metal, 0.13)
        else:
            drop = loop((x, y - 0.35), (x + 0.22, y + 0.25), (x, y + 0.5), (x - 0.22, y + 0.25))
            canvas.fill(drop + (0.04, 0.04), SHADOW, 0.7)
            canvas.fill(drop, metal)
            canvas.fill(ellipse(x - 0.06, y + 0.1, 0.07, 0.1), SHINE, 0.9)


def draw_glasses(canvas: Canvas, face: Face) -> None:
    """Round or square glasses, their frames strong above and thin below."""
    if not face["Eyeglasses"]:
        return
    frame = mix((14, 12, 14), (96, 40, 20), face.look("frames_tone") ** 2)
    rim = _rim(face)
    glint = np.array([(-0.5, 0.28), (-0.1, -0.4), (0.05, -0.4), (-0.35, 0.28)])
    for side in SIDES:
        lens = rim + (1.02 * side, 0.02)
        canvas.fill(lens, (50, 60, 70), 0.1)
        canvas.fill(glint + (1.02 * side, 0), SHINE, 0.16, 0.03)
        canvas.line(lens, frame, 0.07)
        canvas.line(lens[len(lens) // 2 :], frame, 0.13)
        bow = np.array([(1.78, -0.12), (2.15 * face.width, -0.16)])
        canvas.line(bow * (side, 1), frame, 0.13)
    canvas.line(curve((-0.28, -0.14), (0, -0.24), (0.28, -0.14)), frame, 0.09)


def _rim(face: Face) -> Array:
    """Outline of a lens around (0, 0), its lower half first: round, or nearly square."""
    size, power = face.look("frames_size", 0.94, 1.06), 2.2 if face.look("frames") < 0.5 else 4.5
    t = np.linspace(0, 2 * np.pi, 40)
    circle = np.stack([np.cos(t), np.sin(t)], 1)
    rim: Array = np.sign(circle) * np.abs(circle) ** (2 / power)
    return rim * (0.76 * size, 0.52 * size)


def draw_hat(canvas: Canvas, face: Face) -> None:
    """A hat with a brim, a woollen cap, or a cap with a peak."""
    if not face["Wearing_Hat"]:
        return
    look, w = face.look, face.width
    cloth = hue(look("hat_hue"), look("hat_tone", 0.35, 0.85), look("hat_tone", 90, 215))
    crown = arch((0, -3.8), (1.4, -3.55), (2.25 * w, -2.5), (2.35 * w, -1.25))
    edge = arch((0, -1.56), (1.2, -1.5), (2.35 * w, -1.25))
    cap = canvas.mask(np.concatenate([crown, edge[::-1]]))
    canvas.fill(edge + (0, 0.25), shade(face.skin, 0.45), 0.6, 0.15)
    canvas.paint(cap, cloth)
    canvas.fill(ellipse(-0.8, -2.9, 0.9, 0.4, 0.4), shade(cloth, 1.2), 0.6, 0.25, cap)
    _trim(canvas, face, cap, edge, cloth)


def _trim(canvas: Canvas, face: Face, cap: Mask, edge: Array, cloth: Colour) -> None:
    """Draw the distinctive part of a hat: ribbon and brim, knitted rim, or peak."""
    style, w, band = face.look("hat"), face.width, shade(cloth, 0.55)
    if style < 0.4:
        canvas.line(edge + (0, -0.22), band, 0.5, within=cap)
        upper = arch((0, -1.58), (1.8, -1.45), (3.5 * w, -0.95))
        lower = arch((0, -1.16), (1.9, -1.1), (3.5 * w, -0.95))
        canvas.fill(np.concatenate([upper, lower[::-1]]), shade(cloth, 0.8))
    elif style < 0.7:
        canvas.line(edge + (0, -0.2), shade(cloth, 0.75), 0.62, within=cap)
        ribs = [np.array([(x, -1.9), (x, -1.3)]) for x in np.linspace(-2.1 * w, 2.1 * w, 15)]
        canvas.paint(canvas.strokes(*ribs, width=0.06).within(cap), band)
    else:
        upper = arch((0, -1.75), (1.9, -1.42))
        lower = arch((0, -0.96), (1.6, -1.08), (1.9, -1.42))
        canvas.fill(np.concatenate([upper, lower[::-1]]), shade(cloth, 0.62))
        canvas.line(np.array([(0, -3.8), (0, -1.7)]), band, 0.05)

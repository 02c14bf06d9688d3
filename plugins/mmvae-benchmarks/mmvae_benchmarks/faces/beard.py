"""Hair on the face."""

from __future__ import annotations

from mmvae_benchmarks.faces.canvas import Canvas, Colour, Mask, both, curve, loop
from mmvae_benchmarks.faces.face import Face
from mmvae_benchmarks.faces.head import SIDES
from mmvae_benchmarks.faces.look import mix, shade


def draw_beard(canvas: Canvas, face: Face, head: Mask) -> None:
    """Draw the hair of cheeks and chin, before the mouth is drawn over it."""
    chin, colour, w = face.chin, _colour(face), face.width
    if face["5_o_Clock_Shadow"]:
        tone = mix(shade(face.skin, 0.45), (46, 50, 60), 0.4)
        edge = [(0, 1.4), (0.6, 1.42), (1.3, 1.6), (2.05, 0.9)]
        canvas.fill(both(*edge, (1.9, chin), (0, chin + 0.3)), tone, 0.44, 0.1, head)
    if face["Goatee"]:
        wide = 0.85 if face["Mustache"] else 0.62
        tip = chin + face.look("beard_length", 0.12, 0.4)
        tuft = both((0, 2.3), (wide, 2.2), (0.8 * wide, chin - 0.1), (0, tip))
        canvas.fill(tuft, colour, 0.96, 0.05)
        if face["Mustache"]:
            joint = curve((0.85, 1.66), (1.0, 2.05), (0.82, 2.5))
            for side in SIDES:
                canvas.line(joint * (side, 1), colour, 0.28, 0.95, 0.04)
    if face["Sideburns"]:
        inner = [(2.08, -0.7), (1.72, -0.6), (1.66, 0.5), (1.42, 1.35)]
        burn = loop(*inner, (1.9, 1.3), (2.06, 0.5)) * (w, 1)
        for side in SIDES:
            canvas.fill(burn * (side, 1), colour, 0.95, 0.04, head)


def draw_mustache(canvas: Canvas, face: Face) -> None:
    """The mustache, over the upper lip."""
    if face["Mustache"]:
        upper = [(0, 1.5), (0.45, 1.5), (0.95, 1.8)]
        shape = both(*upper, (0.9, 1.92), (0.4, 1.82), (0, 1.78))
        canvas.fill(shape, _colour(face), 0.97, 0.03)


def _colour(face: Face) -> Colour:
    return (112, 110, 110) if face["Gray_Hair"] else mix(face.brow, (40, 28, 22), 0.35)

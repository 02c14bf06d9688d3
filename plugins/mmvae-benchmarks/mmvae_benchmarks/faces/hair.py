"""Hair on the head."""

from __future__ import annotations

import numpy as np

from mmvae_benchmarks.faces.canvas import Array, Canvas, Mask, arch, curve, ellipse, loop, mirrored
from mmvae_benchmarks.faces.face import Face
from mmvae_benchmarks.faces.head import SIDES
from mmvae_benchmarks.faces.look import mix, shade


def draw_back_hair(canvas: Canvas, face: Face) -> None:
    """Hair behind the head: long, or a knot if it is neither straight nor wavy."""
    if face["Male"] or face["Bald"]:
        return
    dark, look, w = shade(face.hair, 0.72), face.look, face.width
    if face["Straight_Hair"]:
        low = look("hair_length", 3.6, 5.4)
        top = [(0, -3.25), (1.5, -2.9), (2.35 * w, -1.4)]
        side = curve(*top, (2.55 * w, 0.6), (2.6 * w, low - 1), (2.55 * w, low))
    elif face["Wavy_Hair"]:
        low = look("hair_length", 3.4, 5.2)
        top = [(0, -3.4), (1.7, -3.0), (2.6 * w, -1.5)]
        side = curve(*top, (2.75 * w, 0.0), (2.95 * w, 1.6), (3.0 * w, low))
        side = np.where(side[:, :1] > 1, _rippled(side, 0.2, 1.05, look("hair_phase", 0, 6)), side)
    else:
        if not face["Wearing_Hat"]:
            canvas.fill(ellipse(look("hair_part", -0.25, 0.25), -3.2, 0.85, 0.6), dark)
        return
    locks = canvas.mask(np.concatenate([side, mirrored(side)]))
    canvas.paint(locks, dark)
    _streak(canvas, face, locks)


def draw_front_hair(canvas: Canvas, face: Face) -> None:
    """Hair around the forehead."""
    if face["Bald"]:
        return
    if face["Wearing_Hat"]:
        _draw_temples(canvas, face)
        return
    male, wavy, w = face["Male"], face["Wavy_Hair"], face.width
    top = 2.92 + face.look("hair_volume", 0.0, 0.28) + 0.22 * wavy
    top -= 0.14 * face["Receding_Hairline"]
    wide = (2.2 if male else 2.32) * w + 0.12 * wavy
    low = -0.55 if male else 0.0
    side = curve((0, -top), (1.15, 0.15 - top), (1.9 * w, -2.15), (wide, -1.1), (wide, low))
    if wavy:
        bumps = np.abs(np.sin(0.75 * np.arange(len(side)) + face.look("hair_phase", 0, 3)))
        side = side * (1 + 0.07 * bumps[:, None])
    line = _hairline(face)
    hair = canvas.mask(np.concatenate([mirrored(side), side[1:], line[::-1]]), soft=0.02)
    canvas.fill(line + (0, 0.1), shade(face.skin, 0.6), 0.5, 0.12, hair)
    canvas.paint(hair, face.hair)
    _streak(canvas, face, hair)
    glow = ellipse(0.5 * face.look("hair_part", -1, 1), 0.62 - top, 1.1, 0.2)
    canvas.fill(glow, mix(face.hair, (255, 250, 240), 0.4), 0.55, 0.15, hair)
    if not male and (face["Straight_Hair"] or wavy):
        _draw_side_locks(canvas, face)


def _hairline(face: Face) -> Array:
    """The line between forehead and hair, from the left temple to the right one."""
    part, low = face.look("hair_part", -0.7, 0.7), -0.55 if face["Male"] else -0.1
    if face["Receding_Hairline"]:
        middle = [(0.0, -2.1), (0.45, -2.18), (0.85, -2.45), (1.45, -2.3)]
        line = arch(*middle, (1.86, -1.5), (2.02, low - 0.4))
    elif face["Bangs"]:
        line = arch((0, -1.06), (1.0, -1.0), (1.8, -0.86), (2.05, low))
        fringe = np.abs(np.sin(np.linspace(0, 9 * np.pi, len(line)) + face.look("hair_phase")))
        line[:, 1] += (0.24 * fringe - 0.12) * (np.abs(line[:, 0]) < 1.75)
    else:
        left = [(-2.05, low), (-1.82, -1.1), (-1.2, -1.62), (part - 0.3, -1.86)]
        right = [(part + 0.3, -1.86), (1.3, -1.6), (1.82, -1.1), (2.05, low)]
        line = curve(*left, (part, -2.02), *right)
    return line * (face.width, 1)


def _draw_temples(canvas: Canvas, face: Face) -> None:
    """Draw the short hair that a hat leaves visible."""
    outer = [(1.72, -1.6), (2.34, -1.6), (2.4, -0.6), (2.16, 0.1)]
    strip = loop(*outer, (2.0, -0.2), (1.86, -0.9)) * (face.width, 1)
    for side in SIDES:
        canvas.fill(strip * (side, 1), face.hair, soft=0.03)


def _draw_side_locks(canvas: Canvas, face: Face) -> None:
    """Locks that fall before the ears."""
    inner = curve((1.95, -1.2), (2.0, 0.2), (1.98, 1.6), (2.05, 3.0), (2.1, 3.6))
    outer = curve((2.3, -1.2), (2.5, 0.2), (2.56, 1.6), (2.6, 3.0), (2.5, 3.6))
    if face["Wavy_Hair"]:
        phase = face.look("hair_phase", 0, 6)
        inner, outer = _rippled(inner, 0.13, 0.9, phase), _rippled(outer, 0.13, 0.9, phase)
    shape = np.concatenate([inner, outer[::-1]]) * (face.width, 1)
    for side in SIDES:
        lock = canvas.mask(shape * (side, 1), soft=0.03)
        canvas.paint(lock, shade(face.hair, 0.92))
        _streak(canvas, face, lock)


def _rippled(line: Array, size: float, step: float, phase: float) -> Array:
    """The line, with waves to its sides."""
    ripple = size * np.sin(step * np.arange(len(line)) + phase)
    rippled: Array = line + np.stack([ripple, 0 * ripple], 1)
    return rippled


def _streak(canvas: Canvas, face: Face, hair: Mask) -> None:
    """Strands, alternately dark and light: straight or wavy, none if hair is neither."""
    if not (face["Straight_Hair"] or face["Wavy_Hair"]):
        return
    wave, phase = 0.16 * face["Wavy_Hair"], face.look("hair_phase", 0, 6)
    y = np.linspace(-3.4, 5.2, 36)
    spread = 0.25 + 0.75 * np.sqrt(np.clip((y + 3.4) / 2.2, 0, 1))
    strands = [
        np.stack([x * spread + wave * np.sin(4.2 * y + phase + 0.5 * i), y], 1)
        for i, x in enumerate(np.linspace(-3.1, 3.1, 27))
    ]
    light = mix(face.hair, (255, 244, 220), 0.28)
    dark = shade(face.hair, 0.45)
    for lines, colour, opacity in ((strands[::2], dark, 0.75), (strands[1::2], light, 0.6)):
        canvas.paint(canvas.strokes(*lines, width=0.07, opacity=opacity).within(hair), colour)

"""Skin: neck, ears, the head itself, its shading, its colours and its lines."""

from __future__ import annotations

import numpy as np

from mmvae_benchmarks.faces.canvas import Canvas, Mask, curve, ellipse, mirrored
from mmvae_benchmarks.faces.face import Face
from mmvae_benchmarks.faces.look import mix, shade

SIDES = (-1, 1)


def draw_neck(canvas: Canvas, face: Face) -> None:
    """The neck with the chin's shadow on it."""
    w = (1.5 if face["Male"] else 1.12) + 0.2 * face["Chubby"]
    side = curve((w, 1.2), (w, 3.3), (w + 0.25, 4.3), (w + 1.6, 5.2))
    neck = np.concatenate([side, mirrored(side)])
    canvas.fill(neck, shade(face.skin, 0.86), soft=0.04)
    shadow = ellipse(0, face.chin - 0.25, w * 1.05, 0.85)
    canvas.fill(shadow, shade(face.skin, 0.55), 0.75, soft=0.22, within=canvas.mask(neck))


def draw_head(canvas: Canvas, face: Face) -> Mask:
    """Ears and head, shaded; returns the mask of the head."""
    skin, w = face.skin, face.width
    for side in SIDES:
        ear = ellipse(2.12 * w * side, 0.12, 0.3, 0.58, -0.12 * side)
        canvas.fill(ear, shade(skin, 0.86))
        canvas.fill(ellipse(2.14 * w * side, 0.08, 0.14, 0.34), shade(skin, 0.62), 0.6, soft=0.07)
    if face["Double_Chin"]:
        _draw_double_chin(canvas, face)
    head = canvas.mask(face.outline)
    canvas.paint(head, skin)
    for side in SIDES:
        rim = ellipse(2.25 * w * side, 1.0, 0.62, 2.4, 0.18 * side)
        canvas.fill(rim, shade(skin, 0.68), 0.6, soft=0.3, within=head)
    under = 0.75 if face["Double_Chin"] else 0.5
    canvas.fill(ellipse(0, face.chin + 0.1, 1.2, 0.3), shade(skin, 0.65), under, 0.16, head)
    canvas.fill(ellipse(0, -1.35, 1.25, 0.62), shade(skin, 1.1), 0.55, 0.35, head)
    canvas.fill(ellipse(0, face.chin - 0.4, 0.4, 0.22), shade(skin, 1.08), 0.5, 0.12, head)
    _draw_cheeks(canvas, face, head)
    if face["Bald"]:
        canvas.fill(ellipse(-0.5, -2.2, 0.62, 0.24, 0.25), shade(skin, 1.3), 0.75, 0.14, head)
    if not face["Young"]:
        _draw_age(canvas, face, head)
    return head


def _draw_double_chin(canvas: Canvas, face: Face) -> None:
    """A second, softer chin beneath the first, with the fold between them."""
    canvas.fill(ellipse(0, face.chin - 0.12, 1.62, 0.92), shade(face.skin, 0.5), soft=0.06)
    canvas.fill(ellipse(0, face.chin - 0.19, 1.54, 0.82), shade(face.skin, 1.0), soft=0.05)


def _draw_cheeks(canvas: Canvas, face: Face, head: Mask) -> None:
    skin, smile = face.skin, face["Smiling"]
    for side in SIDES:
        cheek = ellipse(1.18 * side, 0.95 - 0.1 * smile, 0.52, 0.36)
        canvas.fill(cheek, shade(skin, 1.14), 0.7 if smile else 0.5, 0.2, head)
        if face["Chubby"]:
            canvas.fill(ellipse(1.45 * side, 1.45, 0.5, 0.6), shade(skin, 1.1), 0.7, 0.2, head)
        if face["High_Cheekbones"]:
            bone = ellipse(1.42 * side, 0.62, 0.46, 0.17, -0.45 * side)
            without_values = curve((1.95 * side, 0.95), (1.5 * side, 1.35), (1.1 * side, 1.75))
            canvas.fill(bone, shade(skin, 1.3), 0.9, 0.09, head)
            canvas.line(without_values, shade(skin, 0.5), 0.3, 0.8, 0.11, head)
        if face["Rosy_Cheeks"]:
            blush = mix(skin, (236, 70, 96), 0.75)
            canvas.fill(ellipse(1.28 * side, 0.98, 0.52, 0.4), blush, 0.85, 0.16, head)
        if face["Bags_Under_Eyes"]:
            bag = curve((0.5 * side, 0.28), (0.95 * side, 0.54), (1.45 * side, 0.34))
            canvas.line(bag, mix(shade(skin, 0.45), (70, 30, 70), 0.45), 0.22, 0.9, 0.06, head)


def _draw_age(canvas: Canvas, face: Face, head: Mask) -> None:
    """Folds from the nose to the mouth, lines on the forehead and beside the eyes."""
    dark = shade(face.skin, 0.5)
    for side in SIDES:
        fold = curve((0.55 * side, 1.05), (0.86 * side, 1.5), (1.02 * side, 2.05))
        canvas.line(fold, dark, 0.13, 0.85, 0.04, head)
        jowl = curve((0.98 * side, 2.2), (1.02 * side, 2.5), (1.2 * side, 2.75))
        canvas.line(jowl, dark, 0.1, 0.5, 0.06, head)
        for rise in (-0.16, 0.0, 0.16):
            foot = np.array([(1.56 * side, 0.04 + 0.4 * rise), (1.88 * side, 0.06 + 1.4 * rise)])
            canvas.line(foot, dark, 0.05, 0.7, 0.02, head)
    for y in (-1.62, -1.32, -1.02):
        line = curve((-1.0, y + 0.04), (-0.4, y - 0.03), (0.3, y + 0.03), (1.0, y))
        canvas.line(line, dark, 0.08, 0.7, 0.03, head)

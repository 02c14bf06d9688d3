"""The canvas: smooth shapes in face units, painted at twice the size of the picture.

A face unit is half the distance of the eyes; (0, 0) lies between them, x points to the picture's
right and y down, both in the face's own frame, which the pose tilts, moves and scales.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageFilter

Array = np.ndarray[Any, Any]
Colour = tuple[float, float, float]
Point = tuple[float, float] | Array

WIDTH, HEIGHT = 178, 218
OVERSAMPLING = 2
SIZE = (WIDTH * OVERSAMPLING, HEIGHT * OVERSAMPLING)


@dataclass(frozen=True)
class Pose:
    """The pose: centre in pixels of the picture, pixels per face unit, tilt (radians)."""

    x: float
    y: float
    scale: float
    tilt: float

    def pixels(self, points: Array) -> Array:
        """Points (n, 2) in face units, as pixels of the canvas."""
        cosine, sine = np.cos(self.tilt), np.sin(self.tilt)
        turned = points @ np.array([[cosine, sine], [-sine, cosine]]) * self.scale
        pixels: Array = (turned + (self.x, self.y)) * OVERSAMPLING
        return pixels


@dataclass(frozen=True)
class Mask:
    """The coverage of each pixel: an 8-bit picture and the position of its corner."""

    image: Image.Image
    corner: tuple[int, int]

    def within(self, other: Mask) -> Mask:
        """The part of this mask that also lies in ``other``."""
        (x, y), (u, v) = self.corner, other.corner
        width, height = self.image.size
        part = other.image.crop((x - u, y - v, x - u + width, y - v + height))
        return Mask(ImageChops.multiply(self.image, part), self.corner)


class Canvas:
    """A picture in the making.

    Args:
        pose: Position, scale and tilt of the face.
        background: RGB picture of ``SIZE``.
    """

    def __init__(self, pose: Pose, background: Image.Image) -> None:
        self.pose, self.image = pose, background

    def mask(self, *shapes: Array, soft: float = 0.0, opacity: float = 1.0) -> Mask:
        """Filled polygons (n, 2) in face units, with edges as ``soft`` as that many units."""
        return self._mask(shapes, soft, 0.0, opacity)

    def strokes(
        self, *lines: Array, width: float, soft: float = 0.0, opacity: float = 1.0
    ) -> Mask:
        """Open lines (n, 2) in face units, ``width`` units wide."""
        return self._mask(lines, soft, width, opacity)

    def _mask(self, shapes: Sequence[Array], soft: float, width: float, opacity: float) -> Mask:
        # Very soft shapes are drawn at half the size: it is invisible, and blurring costs less.
        unit = self.pose.scale * OVERSAMPLING
        reduction = 2 if soft * unit > 3 else 1
        radius, pen = soft * unit / reduction, max(1, round(width * unit / reduction))
        pixels = [self.pose.pixels(shape) / reduction for shape in shapes]
        margin = 2 * radius + (pen if width else 0) + 2
        joined = np.concatenate(pixels)
        low = np.maximum(joined.min(0) - margin, 0).astype(int)
        high = np.minimum(joined.max(0) + margin, np.array(SIZE) // reduction).astype(int)
        extent = np.maximum(high - low, 1)
        image = Image.new("L", (int(extent[0]), int(extent[1])))
        pencil, level = ImageDraw.Draw(image), round(255 * opacity)
        for shape in pixels:
            points = (shape - low).ravel().tolist()
            if width:
                pencil.line(points, fill=level, width=pen)
            else:
                pencil.polygon(points, fill=level)
        if radius > 0.3:
            image = image.filter(ImageFilter.BoxBlur(radius))
        if radius > 1.5:
            image = image.filter(ImageFilter.BoxBlur(radius * 0.7))
        if reduction > 1:
            size = (image.width * reduction, image.height * reduction)
            image = image.resize(size, Image.Resampling.BILINEAR)
        return Mask(image, (int(low[0]) * reduction, int(low[1]) * reduction))

    def paint(self, mask: Mask, colour: Colour) -> None:
        """Lay a colour (components 0..255) over the picture where the mask covers it."""
        tone = tuple(int(min(max(c, 0), 255)) for c in colour)
        x, y = mask.corner
        self.image.paste(tone, (x, y, x + mask.image.width, y + mask.image.height), mask.image)

    def fill(
        self,
        shape: Array,
        colour: Colour,
        opacity: float = 1.0,
        soft: float = 0.0,
        within: Mask | None = None,
    ) -> None:
        """Paint one filled shape."""
        mask = self.mask(shape, soft=soft, opacity=opacity)
        self.paint(mask.within(within) if within else mask, colour)

    def line(
        self,
        points: Array,
        colour: Colour,
        width: float,
        opacity: float = 1.0,
        soft: float = 0.0,
        within: Mask | None = None,
    ) -> None:
        """Paint one open line."""
        mask = self.strokes(points, width=width, soft=soft, opacity=opacity)
        self.paint(mask.within(within) if within else mask, colour)


def ellipse(x: float, y: float, rx: float, ry: float, angle: float = 0.0, n: int = 36) -> Array:
    """Outline of an ellipse, (n, 2)."""
    t = np.linspace(0, 2 * np.pi, n, endpoint=False)
    points = np.stack([rx * np.cos(t), ry * np.sin(t)], 1)
    cosine, sine = np.cos(angle), np.sin(angle)
    turned: Array = points @ np.array([[cosine, sine], [-sine, cosine]])
    return turned + (x, y)


_STEPS = np.linspace(0, 1, 8, endpoint=False)
_BASIS = np.stack([_STEPS**0, _STEPS, _STEPS**2, _STEPS**3], 1) @ (
    np.array([[0, 2, 0, 0], [-1, 0, 1, 0], [2, -5, 4, -1], [-1, 3, -3, 1]]) / 2
)


def curve(*points: Point) -> Array:
    """A smooth line (Catmull-Rom) through the points."""
    return _smooth(np.asarray(points, float))


def loop(*points: Point) -> Array:
    """A smooth closed outline through the points."""
    through = np.asarray(points, float)
    n = len(through)
    window = through[(np.arange(n)[:, None] + np.arange(-1, 3)) % n]
    return np.reshape(_BASIS @ window, (-1, 2))


def arch(*points: Point) -> Array:
    """A smooth line across the face, from left to right; its right half is given, from x = 0."""
    right = np.asarray(points, float)
    return _smooth(np.concatenate([mirrored(right[1:]), right]))


def both(*points: Point) -> Array:
    """A smooth closed outline whose right half is given, from x = 0 at the top to x = 0 below."""
    right = np.asarray(points, float)
    return loop(*right, *mirrored(right[1:-1]))


def mirrored(points: Array) -> Array:
    """The points on the other side of the face, in reverse order."""
    return np.flip(points * (-1, 1), 0)


def _smooth(through: Array) -> Array:
    n = len(through)
    padded = np.concatenate([through[:1], through, through[-1:]])
    window = padded[np.arange(n - 1)[:, None] + np.arange(4)]
    return np.concatenate([np.reshape(_BASIS @ window, (-1, 2)), through[-1:]])

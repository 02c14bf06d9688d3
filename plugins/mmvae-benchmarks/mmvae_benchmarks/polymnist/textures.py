"""Five families of procedural textures, each a function of (seed, item) alone.

A family gives every item a field in [0, 1] over the pixels; two colours of the family's own hues
turn it into a picture. Both colours are dark, or the inverse of dark ones, so that an inverted
digit is clearly visible.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from mmvae_benchmarks.polymnist.chance import uniforms

Array = np.ndarray[Any, Any]

SIDE = 28
DARKEST, BRIGHTEST = 0.02, 0.42
"""Range of a texture's value; far enough below 1/2 that its inverse is a contrast."""

TURN = 2 * np.pi
_Y, _X = (axis.astype(np.float32) - (SIDE - 1) / 2 for axis in np.mgrid[0:SIDE, 0:SIDE])


@dataclass(frozen=True)
class Family:
    """One family of textures.

    Attributes:
        name: A description of its appearance.
        field: Numbers in [0, 1) (n, draws) → values in [0, 1], float32 (n, 28, 28).
        draws: Number of random numbers for an item's field.
        hues: The hues of its two colours, as parts of the colour circle.
    """

    name: str
    field: Callable[[Array], Array]
    draws: int
    hues: tuple[float, float]

    def pictures(self, seed: int, items: Array) -> Array:
        """Textures in [0, 1], float32 (n, 28, 28, 3)."""
        field = self.field(uniforms(seed, f"texture {self.name}", items, self.draws))
        low, high = self._colours(uniforms(seed, f"colours {self.name}", items, 7))
        found: Array = field[..., None] * (high - low)
        found += low
        return found

    def _colours(self, u: Array) -> tuple[Array, Array]:
        """Two colours for each item, both dark or both light, each (n, 1, 1, 3)."""
        first, last = self.hues
        middle = DARKEST + 0.4 * (BRIGHTEST - DARKEST)
        low = rgb(
            first + (last - first) * u[:, 0],
            0.6 + 0.4 * u[:, 1],
            DARKEST + (middle - DARKEST) * u[:, 2],
        )
        high = rgb(
            first + (last - first) * u[:, 3],
            0.6 + 0.4 * u[:, 4],
            BRIGHTEST - 0.08 * u[:, 5],
        )
        light = u[:, 6:] < 0.5
        low, high = (np.where(light, 1 - colour, colour) for colour in (low, high))
        return low[:, None, None], high[:, None, None]


def rgb(hue: Array, saturation: Array, value: Array) -> Array:
    """Hue (parts of a turn), saturation and value in [0, 1] → red, green and blue, (n, 3)."""
    k = (np.array([5.0, 3.0, 1.0], np.float32) + 6 * hue[:, None]) % 6
    part = np.clip(np.minimum(k, 4 - k), 0, 1)
    found: Array = value[:, None] * (1 - saturation[:, None] * part)
    return found.astype(np.float32)


def stripes(u: Array) -> Array:
    """Gratings of one direction, wavelength 4 to 9 pixels, from soft to hard."""
    along, _ = _turned(u[:, 0] / 2)
    wave = np.sin(TURN * (along / (4 + 5 * _c(u[:, 1])) + _c(u[:, 2])))
    return _edge(wave, 1 + 4 * _c(u[:, 3]))


def checkers(u: Array) -> Array:
    """Boards of fields 3 to 6 pixels wide, turned and shifted."""
    along, across = _turned(u[:, 0] / 4)
    width = 2 * (3 + 3 * _c(u[:, 1]))
    one, other = (
        np.sin(TURN * (axis / width + _c(shift)))
        for axis, shift in ((along, u[:, 2]), (across, u[:, 3]))
    )
    return _edge(one * other, np.float32(6))


def clouds(u: Array) -> Array:
    """Value noise: random values on grids of 4 and 8 steps, smoothly between them."""
    n = len(u)
    coarse, fine = u[:, :25].reshape(n, 5, 5), u[:, 25:].reshape(n, 9, 9)
    return (2 * _between(coarse) + _between(fine)) / 3


def dots(u: Array) -> Array:
    """Discs on a turned lattice of 6 to 9 pixels, small to touching."""
    along, across = _turned(u[:, 0] / 4)
    step = 6 + 3 * _c(u[:, 1])
    near = [
        (axis / step + _c(shift)) % 1 - np.float32(0.5)
        for axis, shift in ((along, u[:, 2]), (across, u[:, 3]))
    ]
    distance = step * np.hypot(*near)
    inside: Array = step * (0.22 + 0.2 * _c(u[:, 4])) - distance
    return np.clip(inside + np.float32(0.5), 0, 1)


CELLS = 9


def cells(u: Array) -> Array:
    """Voronoi cells of nine sites, each of one shade."""
    n = len(u)
    sites = u[:, : 3 * CELLS].reshape(n, CELLS, 3)
    best = np.full((n, SIDE, SIDE), np.inf, np.float32)
    shade = np.zeros_like(best)
    for k in range(CELLS):
        x, y = (_c((sites[:, k, axis] - np.float32(0.5)) * (SIDE + 4)) for axis in (0, 1))
        distance = (_X - x) ** 2 + (_Y - y) ** 2
        nearer = distance < best
        best = np.where(nearer, distance, best)
        shade = np.where(nearer, _c(sites[:, k, 2]), shade)
    return shade


FAMILIES = (
    Family("stripes", stripes, 4, (0.52, 0.70)),
    Family("checkers", checkers, 4, (-0.06, 0.08)),
    Family("clouds", clouds, 25 + 81, (0.25, 0.45)),
    Family("dots", dots, 5, (0.74, 0.90)),
    Family("cells", cells, 3 * CELLS, (0.0, 1.0)),
)
"""The family of each modality, in their order."""


def _c(values: Array) -> Array:
    """Reshape a number per item to broadcast over its pixels: (n, 1, 1)."""
    return values[:, None, None]


def _turned(turn: Array) -> tuple[Array, Array]:
    """Coordinates of the pixels in axes turned by a part of a turn, each (n, 28, 28)."""
    cos, sin = _c(np.cos(TURN * turn)), _c(np.sin(TURN * turn))
    return cos * _X + sin * _Y, cos * _Y - sin * _X


def _edge(wave: Array, hardness: Array | np.float32) -> Array:
    """A wave in [−1, 1] → [0, 1], with steeper flanks the harder it is."""
    return (1 + np.clip(hardness * wave, -1, 1)) / 2


def _between(grid: Array) -> Array:
    """Values of a grid (n, k, k) at all pixels, (n, 28, 28), by smooth steps between them."""
    k = grid.shape[1] - 1
    place = np.linspace(0, k, SIDE, dtype=np.float32)
    first = np.minimum(place.astype(int), k - 1)
    part = place - first
    part = part * part * (3 - 2 * part)
    weights = np.zeros((SIDE, k + 1), np.float32)
    weights[np.arange(SIDE), first] = 1 - part
    weights[np.arange(SIDE), first + 1] += part
    found: Array = np.einsum("yi,nij,xj->nyx", weights, grid, weights, optimize=True)
    return found

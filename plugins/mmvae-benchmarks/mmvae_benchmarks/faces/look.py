"""The individual look of a face besides its attributes: proportions, colours, pose and light."""

from __future__ import annotations

import numpy as np

from mmvae_benchmarks.faces.canvas import HEIGHT, WIDTH, Colour, Pose

TRAITS = (
    "tilt shift_x shift_y scale skin warmth light_angle light_strength ambient backdrop "
    "back_red back_green back_blue back_angle back_spot_x back_spot_y back_spot_size "
    "hair_tone hair_red hair_part hair_length hair_volume hair_phase waves iris iris_tone "
    "face_width chin_length jaw eye_size eye_slant brow_height brow_tone brow_width "
    "nose_length nose_width mouth_width mouth_height lip_tone lip_red lip_thickness gape "
    "makeup_hue frames frames_tone frames_size hat hat_hue hat_tone clothes_hue "
    "clothes_tone collar tie_hue earrings earring_tone necklace necklace_tone beard_length grain"
).split()


class Look:
    """One person's traits: independent of each other, and of the attributes.

    Args:
        rng: The random generator; the number of draws is always the same, so that attributes do
            not change the rest of a face.
    """

    def __init__(self, rng: np.random.Generator) -> None:
        self._chance = dict(zip(TRAITS, rng.random(len(TRAITS)).tolist(), strict=True))

    def __call__(self, trait: str, low: float = 0.0, high: float = 1.0) -> float:
        """The trait, uniform between ``low`` and ``high``."""
        return low + (high - low) * float(self._chance[trait])

    def pose(self) -> Pose:
        """Position of the face in the picture; the eyes are near where CelebA aligns them."""
        return Pose(
            x=WIDTH / 2 + self("shift_x", -6, 6),
            y=HEIGHT * 0.5 + self("shift_y", -5, 5),
            scale=self("scale", 18.4, 20.6),
            tilt=self("tilt", -0.07, 0.07),
        )


def mix(first: Colour, second: Colour, share: float) -> Colour:
    """The colour ``share`` of the way from the first to the second."""
    r, g, b = (a + (z - a) * share for a, z in zip(first, second, strict=True))
    return r, g, b


def shade(colour: Colour, factor: float) -> Colour:
    """A colour made darker (below 1) or lighter."""
    if factor > 1:
        return mix(colour, (255, 251, 244), min(1.0, 1.8 * (factor - 1)))
    r, g, b = (c * factor for c in colour)
    return r, g, b


def ramp(colours: list[Colour], position: float) -> Colour:
    """The colour at ``position`` in [0, 1] along evenly spaced ones."""
    place = min(max(position, 0.0), 1.0) * (len(colours) - 1)
    i = min(int(place), len(colours) - 2)
    return mix(colours[i], colours[i + 1], place - i)


def hue(position: float, saturation: float, value: float) -> Colour:
    """A colour by hue in [0, 1), saturation in [0, 1] and value in [0, 255]."""

    def channel(n: int) -> float:
        k = (n + position * 6) % 6
        return value * (1 - saturation * max(0.0, min(k, 4 - k, 1)))

    return channel(5), channel(3), channel(1)

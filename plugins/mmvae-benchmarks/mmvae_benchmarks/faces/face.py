"""A face: attributes and look together, and the outlines that follow from both."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from mmvae_benchmarks.faces.canvas import Array, Colour, both
from mmvae_benchmarks.faces.look import Look, mix, ramp, shade

SKIN: list[Colour] = [
    (240, 202, 172),
    (231, 186, 150),
    (217, 166, 126),
    (197, 142, 102),
    (172, 120, 84),
    (142, 97, 68),
]
PALE: Colour = (250, 234, 226)
HAIR: Mapping[str, tuple[Colour, Colour]] = {
    "Black_Hair": ((16, 14, 16), (36, 30, 32)),
    "Blond_Hair": ((214, 176, 92), (240, 212, 140)),
    "Brown_Hair": ((84, 50, 26), (118, 76, 44)),
    "Gray_Hair": ((150, 150, 154), (200, 200, 204)),
}
RED: tuple[Colour, Colour] = ((150, 44, 20), (196, 84, 36))


@dataclass(frozen=True)
class Face:
    """One face.

    Attributes:
        has: All forty attributes.
        look: Everything else about it.
    """

    has: Mapping[str, bool]
    look: Look

    def __getitem__(self, attribute: str) -> bool:
        return self.has[attribute]

    @cached_property
    def skin(self) -> Colour:
        """Colour of the skin in full light."""
        if self["Pale_Skin"]:
            return shade(PALE, self.look("warmth", 0.97, 1.0))
        tone = ramp(SKIN, self.look("skin") ** 1.4)
        return mix(tone, (tone[0], tone[1] * 0.96, tone[2] * 0.9), self.look("warmth"))

    @cached_property
    def hair(self) -> Colour:
        """Colour of the hair; red if no attribute names one."""
        named = [HAIR[name] for name in HAIR if self[name]]
        dark, light = named[0] if named else RED
        return mix(dark, light, self.look("hair_tone"))

    @cached_property
    def brow(self) -> Colour:
        """Colour of brows and beard: the hair's, somewhat darker."""
        if self["Bald"]:
            return (120, 116, 112) if not self["Young"] else (52, 38, 30)
        return shade(self.hair, 0.8 if self["Gray_Hair"] else 0.62)

    @cached_property
    def width(self) -> float:
        """Factor on all widths of the head."""
        oval, chubby = self["Oval_Face"], self["Chubby"]
        return self.look("face_width", 0.97, 1.04) * (0.88 if oval else 1.06 if chubby else 1.0)

    @cached_property
    def chin(self) -> float:
        """Height of the chin's lowest point."""
        length = 3.0 + 0.12 * self["Male"] + 0.26 * self["Oval_Face"] - 0.05 * self["Chubby"]
        return length + self.look("chin_length", -0.08, 0.08)

    @cached_property
    def outline(self) -> Array:
        """Outline of the head, from the top of the skull to the chin."""
        male, chubby, oval = self["Male"], self["Chubby"], self["Oval_Face"]
        jaw = self.look("jaw", -0.05, 0.05) + 0.34 * chubby - 0.1 * oval
        w, chin = self.width, self.chin
        return both(
            (0, -2.75),
            (1.0 * w, -2.58),
            (1.7 * w, -2.0),
            (2.05 * w, -1.1),
            (2.1 * w, -0.2),
            (2.04 * w, 0.65),
            ((1.84 + 0.1 * male + 0.7 * jaw) * w, 1.45),
            ((1.42 + 0.26 * male + jaw) * w, chin - 0.75),
            ((0.72 + 0.24 * male + 0.6 * jaw) * w, chin - 0.16),
            (0, chin),
        )

    @cached_property
    def openness(self) -> float:
        """Half the height of an open eye."""
        size = self.look("eye_size", 0.23, 0.28) + 0.02 * (not self["Male"])
        return size * (0.4 if self["Narrow_Eyes"] else 0.92 if self["Smiling"] else 1.0)

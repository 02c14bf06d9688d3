"""The forty attributes of CelebA, drawn jointly, with realistic correlations and frequencies.

Sex and age are drawn first and everything else given them, by tables estimated from published
statistics of CelebA. Contradictory attributes never occur together: at most one colour of hair,
none on a bald head, a beard or its absence.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

NAMES = (
    "5_o_Clock_Shadow Arched_Eyebrows Attractive Bags_Under_Eyes Bald Bangs Big_Lips Big_Nose "
    "Black_Hair Blond_Hair Blurry Brown_Hair Bushy_Eyebrows Chubby Double_Chin Eyeglasses Goatee "
    "Gray_Hair Heavy_Makeup High_Cheekbones Male Mouth_Slightly_Open Mustache Narrow_Eyes "
    "No_Beard Oval_Face Pale_Skin Pointy_Nose Receding_Hairline Rosy_Cheeks Sideburns Smiling "
    "Straight_Hair Wavy_Hair Wearing_Earrings Wearing_Hat Wearing_Lipstick Wearing_Necklace "
    "Wearing_Necktie Young"
).split()
"""All forty, in the order of ``list_attr_celeba.txt``."""

HAIR_COLOURS = ("Black_Hair", "Blond_Hair", "Brown_Hair", "Gray_Hair")

MALE = 0.417
YOUNG = (0.88, 0.63)  # of women, of men

# Shares among young women, other women, young men, other men.
BY_SEX_AND_AGE: Mapping[str, tuple[float, float, float, float]] = {
    "Arched_Eyebrows": (0.43, 0.33, 0.06, 0.06),
    "Bags_Under_Eyes": (0.07, 0.30, 0.25, 0.52),
    "Bald": (0.0, 0.0, 0.02, 0.11),
    "Wearing_Hat": (0.026, 0.02, 0.10, 0.06),
    "Bangs": (0.215, 0.12, 0.12, 0.05),
    "Receding_Hairline": (0.05, 0.14, 0.09, 0.26),
    "Big_Lips": (0.31, 0.20, 0.17, 0.13),
    "Big_Nose": (0.08, 0.25, 0.34, 0.55),
    "Pointy_Nose": (0.40, 0.37, 0.25, 0.30),  # of noses that are not big
    "Bushy_Eyebrows": (0.05, 0.03, 0.29, 0.24),
    "Chubby": (0.007, 0.04, 0.07, 0.22),
    "Double_Chin": (0.002, 0.03, 0.015, 0.13),  # of faces that are not chubby
    "Oval_Face": (0.34, 0.30, 0.26, 0.24),  # likewise
    "Eyeglasses": (0.02, 0.06, 0.08, 0.19),
    "Heavy_Makeup": (0.68, 0.50, 0.003, 0.003),
    "Smiling": (0.54, 0.54, 0.40, 0.40),
    "Narrow_Eyes": (0.115, 0.115, 0.115, 0.115),
    "Pale_Skin": (0.065, 0.03, 0.02, 0.02),
    "Wearing_Earrings": (0.31, 0.31, 0.02, 0.02),
    "Wearing_Necklace": (0.20, 0.20, 0.015, 0.015),
    "Wearing_Necktie": (0.001, 0.001, 0.13, 0.25),
    "Blurry": (0.051, 0.051, 0.051, 0.051),
}

# Black, blond, brown, gray; the rest is red, dyed or hidden.
HAIR_COLOUR: tuple[tuple[float, ...], ...] = (
    (0.22, 0.245, 0.26, 0.001),
    (0.10, 0.26, 0.18, 0.085),
    (0.40, 0.03, 0.20, 0.01),
    (0.18, 0.015, 0.115, 0.26),
)
# Straight, wavy; the rest is neither: tied back or cropped. Of women, of men.
HAIR_TEXTURE = ((0.19, 0.46), (0.25, 0.15))

# Beards of men, with their frequencies.
BEARDS: tuple[tuple[float, tuple[str, ...]], ...] = (
    (0.600, ()),
    (0.175, ("5_o_Clock_Shadow",)),
    (0.050, ("5_o_Clock_Shadow", "Sideburns")),
    (0.035, ("5_o_Clock_Shadow", "Goatee")),
    (0.025, ("Goatee",)),
    (0.040, ("Goatee", "Mustache")),
    (0.020, ("Mustache",)),
    (0.015, ("Sideburns",)),
    (0.040, ("Goatee", "Mustache", "Sideburns")),
)

ATTRACTIVE = (
    {"Young": 2.0, "Heavy_Makeup": 1.0, "Arched_Eyebrows": 0.5, "Oval_Face": 0.5}
    | {"High_Cheekbones": 0.5, "Wearing_Lipstick": 0.5}
    | {"Chubby": -2.0, "Double_Chin": -1.0, "Big_Nose": -1.5, "Bags_Under_Eyes": -1.0}
    | {"Eyeglasses": -1.0, "Bald": -1.0, "Gray_Hair": -1.0, "Receding_Hairline": -1.0}
)
"""An arbitrary rule of this data set: attractive means a score of 2.5 or more."""


def draw_attributes(rng: np.random.Generator) -> dict[str, bool]:
    """Draw the attributes of one person.

    Args:
        rng: The random generator; the number of draws is always the same.

    Returns:
        All of ``NAMES``, in their order.
    """
    chance = dict(zip((*NAMES, "colour", "texture", "beard"), rng.random(43), strict=True))
    male = bool(chance["Male"] < MALE)
    young = bool(chance["Young"] < YOUNG[male])
    group = 2 * male + (not young)
    has = dict.fromkeys(NAMES, False) | {"Male": male, "Young": young}
    for name, shares in BY_SEX_AND_AGE.items():
        has[name] = bool(chance[name] < shares[group])

    def redraw(name: str, share: float) -> None:
        has[name] = bool(chance[name] < share)

    redraw("Wearing_Lipstick", 0.006 if male else 0.95 if has["Heavy_Makeup"] else 0.51)
    redraw("Rosy_Cheeks", 0.002 if male else 0.15 if has["Heavy_Makeup"] else 0.03)
    smiling = has["Smiling"]
    redraw("High_Cheekbones", ((0.22, 0.85), (0.12, 0.60))[male][smiling])
    redraw("Mouth_Slightly_Open", ((0.35, 0.68), (0.27, 0.64))[male][smiling])
    if has["Chubby"]:
        redraw("Double_Chin", 0.45)
        has["Oval_Face"] = False
    has["Pointy_Nose"] &= not has["Big_Nose"]
    _grow_hair(has, group, chance)
    beard = BEARDS[_choice([share for share, _ in BEARDS], chance["beard"])][1] if male else ()
    has |= dict.fromkeys(beard, True)
    has["No_Beard"] = not beard
    has["Attractive"] = sum(w for name, w in ATTRACTIVE.items() if has[name]) >= 2.5
    return has


def _grow_hair(has: dict[str, bool], group: int, chance: Mapping[str, float]) -> None:
    """Decide the hair: a hat, none, or hair of one colour, texture and hairline."""
    if has["Bald"]:
        has["Wearing_Hat"] = False
    if has["Bald"] or has["Wearing_Hat"]:
        has["Bangs"] = has["Receding_Hairline"] = False
    has["Receding_Hairline"] &= not has["Bangs"]
    if has["Bald"]:
        return
    colour = _choice(HAIR_COLOUR[group], chance["colour"])
    if colour < len(HAIR_COLOURS):
        has[HAIR_COLOURS[colour]] = True
    if has["Wearing_Hat"] and has["Male"]:
        return  # too little of it is seen
    texture = _choice(HAIR_TEXTURE[has["Male"]], chance["texture"])
    has["Straight_Hair"], has["Wavy_Hair"] = texture == 0, texture == 1


def _choice(shares: Sequence[float], chance: float) -> int:
    """The index that ``chance`` in [0, 1) falls on; ``len(shares)`` if beyond all of them."""
    return int(np.searchsorted(np.cumsum(shares), chance, side="right"))

"""The attributes of procedural faces: names, frequencies, and what excludes what."""

from __future__ import annotations

import numpy as np
import pytest
from mmvae_benchmarks.faces.attributes import HAIR_COLOURS, NAMES, draw_attributes

CELEBA = [11.1, 26.7, 51.3, 20.5, 2.2, 15.2, 24.1, 23.5, 23.9, 14.8, 5.1, 20.5, 14.2, 5.8]
CELEBA += [4.7, 6.5, 6.3, 4.2, 38.7, 45.5, 41.7, 48.3, 4.2, 11.5, 83.5, 28.4, 4.3, 27.7, 8.0]
CELEBA += [6.6, 5.7, 48.2, 20.8, 32.0, 18.9, 4.8, 47.2, 12.3, 7.3, 77.4]
"""Percent of CelebA's pictures that have each attribute."""


@pytest.fixture(scope="module")
def people():
    rng = np.random.default_rng(0)
    drawn = [list(draw_attributes(rng).values()) for _ in range(6000)]
    return dict(zip(NAMES, np.array(drawn).T, strict=True))


def test_the_names_are_celebas_in_its_order():
    assert len(NAMES) == len(set(NAMES)) == len(CELEBA) == 40
    assert (NAMES[0], NAMES[20], NAMES[-1]) == ("5_o_Clock_Shadow", "Male", "Young")
    assert list(NAMES[1:]) == sorted(NAMES[1:])
    assert list(draw_attributes(np.random.default_rng(0))) == list(NAMES)


def test_each_attribute_is_about_as_frequent_as_in_celeba(people):
    shares = np.array([100 * people[name].mean() for name in NAMES])
    assert np.abs(shares - CELEBA).max() < 3


def test_what_excludes_each_other_never_meets(people):
    colours = sum(people[name].astype(int) for name in HAIR_COLOURS)
    assert colours.max() == 1
    for name in (*HAIR_COLOURS, "Bangs", "Wearing_Hat", "Straight_Hair", "Wavy_Hair"):
        assert not (people["Bald"] & people[name]).any()
    for one, other in (
        ("Straight_Hair", "Wavy_Hair"),
        ("Big_Nose", "Pointy_Nose"),
        ("Oval_Face", "Chubby"),
        ("Bangs", "Receding_Hairline"),
        ("Bangs", "Wearing_Hat"),
    ):
        assert not (people[one] & people[other]).any()
    beard = ("5_o_Clock_Shadow", "Goatee", "Mustache", "Sideburns")
    grown = np.any([people[name] for name in beard], axis=0)
    np.testing.assert_array_equal(people["No_Beard"], ~grown)


def test_attributes_go_together_as_in_life(people):
    male, young = people["Male"], people["Young"]
    assert not people["Bald"][~male].any()
    assert not people["Mustache"][~male].any()
    assert (
        people["Wearing_Lipstick"][male].mean() < 0.02 < people["Wearing_Lipstick"][~male].mean()
    )
    for name in ("Bald", "Gray_Hair", "Bags_Under_Eyes", "Eyeglasses", "Double_Chin"):
        assert people[name][~young].mean() > 2 * people[name][young].mean()
    for name in ("High_Cheekbones", "Mouth_Slightly_Open"):
        smiling = people["Smiling"]
        assert people[name][smiling].mean() > people[name][~smiling].mean() + 0.2

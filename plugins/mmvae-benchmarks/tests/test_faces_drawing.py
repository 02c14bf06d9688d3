"""Drawn faces: each attribute changes the picture where it should, and nowhere else."""

from __future__ import annotations

import numpy as np
import pytest
from mmvae_benchmarks.faces import Faces
from mmvae_benchmarks.faces.attributes import NAMES
from mmvae_benchmarks.faces.look import TRAITS, Look

FACES = Faces(Faces.Config(items=4, seed=3))
PLAIN = dict.fromkeys(NAMES, False) | {"No_Beard": True, "Young": True, "Brown_Hair": True}

# Boxes (left, top, right, bottom) in face units, beyond which nothing may change.
PLACES = {
    "Arched_Eyebrows": (-2, -1.7, 2, 0),
    "Bags_Under_Eyes": (-2, -0.2, 2, 1),
    "Big_Lips": (-1.3, 1.4, 1.3, 3),
    "Big_Nose": (-1.3, -0.8, 1.3, 1.8),
    "Pointy_Nose": (-1.3, -0.8, 1.3, 1.8),
    "Bushy_Eyebrows": (-2, -1.4, 2, 0.1),
    "Eyeglasses": (-2.6, -1, 2.6, 1),
    "Goatee": (-1.5, 1.6, 1.5, 4),
    "Heavy_Makeup": (-2.1, -1, 2.1, 0.5),
    "High_Cheekbones": (-2.5, 0, 2.5, 2.3),
    "Mouth_Slightly_Open": (-1.3, 1.4, 1.3, 3.2),
    "Mustache": (-1.3, 1.2, 1.3, 2.2),
    "Narrow_Eyes": (-2, -0.8, 2, 0.6),
    "Rosy_Cheeks": (-2.6, 0.2, 2.6, 1.9),
    "Sideburns": (-2.4, -1, 2.4, 1.7),
    "Wearing_Lipstick": (-1.3, 1.4, 1.3, 3),
    "Wearing_Earrings": (-3, 0.3, 3, 2),
    "Wearing_Necklace": (-2, 2.6, 2, 4.6),
    "Wearing_Hat": (-4.5, -5, 4.5, 1),
    "Bangs": (-2.6, -3.5, 2.6, 0),
    "Receding_Hairline": (-2.9, -3.7, 2.9, 0.3),
}


def pixels(index, **changed):
    return np.asarray(FACES.picture(index, **(PLAIN | changed)), int)


def changed(index, **changes):
    """Which pixels differ visibly from the plain face."""
    return np.abs(pixels(index, **changes) - pixels(index)).max(-1) > 8


@pytest.mark.parametrize("index", [0, 1])
@pytest.mark.parametrize("name", PLACES)
def test_an_attribute_changes_its_own_place_only(name, index):
    y, x = np.nonzero(changed(index, **{name: True}))
    assert len(x) > 25
    pose = Look(FACES._random(index, 1)).pose()
    left, top, right, bottom = PLACES[name]
    corners = np.array([(left, top), (right, top), (left, bottom), (right, bottom)])
    low, high = pose.pixels(corners).min(0) / 2, pose.pixels(corners).max(0) / 2
    assert low[0] <= x.min()
    assert x.max() <= high[0]
    assert low[1] <= y.min()
    assert y.max() <= high[1]


DERIVED = ("Attractive", "No_Beard", "Brown_Hair")


@pytest.mark.parametrize("name", [name for name in NAMES if name not in DERIVED])
def test_every_visible_attribute_is_seen(name):
    changes = {name: not PLAIN[name]}
    if (
        name.endswith("_Hair")
        and "Brown_Hair" != name
        and name.split("_")[0]
        not in (
            "Straight",
            "Wavy",
        )
    ):
        changes["Brown_Hair"] = False
    assert changed(2, **changes).sum() > 25


def test_what_follows_from_others_is_not_drawn():
    for name in ("Attractive", "No_Beard"):
        np.testing.assert_array_equal(pixels(0, **{name: not PLAIN[name]}), pixels(0))


@pytest.mark.parametrize(
    ("name", "rgb"),
    [
        ("Black_Hair", lambda r, g, b: max(r, g, b) < 110),
        ("Blond_Hair", lambda r, g, b: r > 150 > b),
        ("Gray_Hair", lambda r, g, b: max(r, g, b) - min(r, g, b) < 40),
        ("Brown_Hair", lambda r, g, b: 50 < r < 190 and r > g > b),
    ],
)
def test_hair_has_its_colour(name, rgb):
    pose = Look(FACES._random(0, 1)).pose()
    x, y = (pose.pixels(np.array([(1.4, -2.0)]))[0] / 2).astype(int)
    hair = {"Brown_Hair": False} | {name: True}
    patch = pixels(0, **hair)[y - 1 : y + 2, x - 1 : x + 2]
    assert rgb(*patch.mean((0, 1)))


def test_faces_differ_in_more_than_their_attributes():
    one, other = pixels(0), pixels(1)
    assert one.shape == (218, 178, 3)
    assert np.abs(one - other).mean() > 10
    assert len(set(TRAITS)) == len(TRAITS)


def test_blurry_pictures_have_soft_edges():
    def edges(picture):
        return np.abs(np.diff(picture.astype(float), axis=1)).max()

    assert edges(pixels(0, Blurry=True)) < 0.6 * edges(pixels(0))


def test_the_cascade_finds_the_faces():
    cv2 = pytest.importorskip(
        "cv2", reason="needs OpenCV: pip install 'mmvae-benchmarks[faces]'", exc_type=ImportError
    )
    cv2.setNumThreads(1)  # threads of its own only wait for each other on pictures this small
    folder = cv2.data.haarcascades
    cascade = cv2.CascadeClassifier(folder + "haarcascade_frontalface_alt.xml")
    faces = Faces(Faces.Config(items=60, seed=0))
    greys = [np.asarray(faces.picture(i).convert("L")) for i in range(60)]
    found = [len(cascade.detectMultiScale(grey, 1.2, 2, minSize=(10, 10))) > 0 for grey in greys]
    assert np.mean(found) > 0.96  # 99 % of many

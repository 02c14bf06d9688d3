"""Figures show what their captions say: shared noise, exact edits, and what was run."""

from __future__ import annotations

import json
from contextlib import nullcontext
from types import SimpleNamespace

import pytest
import torch
from mmvae_faces import attribute_faces, attribute_map, portrait, variations
from mmvae_faces.edit import Edit
from mmvae_faces.face_model import random_base
from mmvae_faces.strip import listed
from PIL import Image
from torch.testing import assert_close

EDITS = [Edit({"Male": 2.0}), Edit({"Bald": -2.0, "Young": 1.5})]


@pytest.fixture
def subject():
    """Who sits: seed and words of a run."""
    return SimpleNamespace(seed=3, named=nullcontext, title="toy", origin="Step 4.", split="test")


@pytest.fixture
def drawn_cells(monkeypatch, linear):
    """Let pictures be shown as tensors, and catch the cells of each drawing."""
    caught = []
    monkeypatch.setattr(linear.trained.codecs["photo"], "show", lambda x: list(x.detach()))
    monkeypatch.setattr(attribute_faces, "sheet", lambda rows, labels: caught.append(rows) or b"")
    for module in (portrait, variations):
        monkeypatch.setattr(module, "strip", lambda titles, rows: caught.append(rows) or b"")
    return caught


def test_rows_of_random_faces_share_their_noise(subject, linear, drawn_cells):
    picture = attribute_faces.attribute_faces_picture(subject, linear, EDITS, 4, 0.6)
    ((heads, average, *random),) = drawn_cells
    assert heads == ["Base", "Male +2", "Bald −2, Young +1.5"]
    base = random_base(6, subject.seed)
    settings = [base, *(edit.applied(base, linear.names) for edit in EDITS)]
    for face, w in zip(average, settings, strict=True):
        assert_close(face, linear.average(w)[0])
    assert len(random) == 4
    offsets = [torch.stack(row) - torch.stack(average) for row in random]
    for offset in offsets:  # of a linear decoder: the noise alone
        assert_close(offset, offset[:1].expand_as(offset))
    assert not torch.allclose(offsets[0], offsets[1])
    assert "Step 4." in picture.caption
    assert "ζ = 0.6 (a variance)" in picture.caption


def test_random_faces_grow_with_the_root_of_zeta(subject, linear, drawn_cells):
    for variance in (0.6, 2.4):
        attribute_faces.attribute_faces_picture(subject, linear, [], 2, variance)
    small, large = ([row[0] for row in rows[1:]] for rows in drawn_cells)
    for k in (1, 2):
        assert_close(large[k] - large[0], 2 * (small[k] - small[0]))


def test_a_portrait_s_last_columns_are_its_edits(linear, drawn_cells):
    x = torch.rand(2, 3, 4, 4)
    portraits = portrait.Portraits.of(linear, x, EDITS)
    portrait.portrait_strip(linear, portraits, EDITS)
    ((first, second),) = drawn_cells
    for row, cells in enumerate((first, second)):
        assert torch.equal(cells[0], x[row])
        w = linear.read(x[row : row + 1])
        for cell, edit in zip(cells[4:], EDITS, strict=True):
            moved = linear.average(edit.applied(w, linear.names)) - linear.average(w)
            assert_close(cell, x[row] + moved[0])
        assert_close(cells[2], linear.average(w)[0])
        assert_close(cells[3], linear.reconstructed(x)[row])
        assert cells[1].startswith(f"{w[0, 1]:+.2f}  Male".replace("-", "−"))


def test_variations_are_of_the_attributes_that_were_read(subject, linear, drawn_cells):
    x = torch.rand(2, 3, 4, 4)
    variations.variations_picture(subject, linear, x, "2 items", 3, 0.6)
    ((first, second),) = drawn_cells
    assert_close(first[2], linear.average(linear.read(x))[0])
    for k in (3, 4, 5):
        assert_close(first[k] - first[2], second[k] - second[2])


def test_the_map_has_a_cloud_around_each_setting_s_mean(subject, linear, monkeypatch):
    caught = []

    def catch(clouds, classes):
        caught.append((*clouds, classes))
        return b""

    monkeypatch.setattr(attribute_map, "draw_clouds", catch)
    attribute_map.attribute_map_picture(subject, linear, EDITS, 2000, 0.01)
    ((cloud, classes),) = caught
    assert classes.names == ("Base", "Male +2", "Bald −2, Young +1.5")
    assert torch.bincount(cloud.classes).tolist() == [2000] * 3
    base = random_base(6, subject.seed)
    settings = torch.cat([base, *(edit.applied(base, linear.names) for edit in EDITS)])
    means = (settings @ linear.trained.model.a).detach()
    shown = torch.stack([cloud.points[cloud.classes == k].mean(0) for k in range(3)])
    # Three means span a plane, which the principal directions keep.
    assert_close(torch.cdist(shown, shown), torch.cdist(means, means), rtol=0.05, atol=0.05)


def test_a_list_has_the_named_ones_then_the_highest():
    values = {"a": -0.5, "b": 0.25, "Wide_Smile": 0.75}
    assert listed(values, ["a"]) == "−0.50  a\n+0.75  Wide Smile\n+0.25  b"


FIGURES = ("variations", "attribute-faces", "attribute-map", "edits")


@pytest.mark.parametrize("kind", FIGURES)
def test_each_figure_is_drawn_by_one_command(call, faces_run, kind, tmp_path):
    out = tmp_path / "figure.png"
    result = call("figures", kind, faces_run, "--out", out, "--seed", 5)
    assert (result.code, result.err) == (0, f"Wrote {out}\n")
    assert "Experiment small, step 2, test split, training seed 0" in result.out
    assert "evaluation seed 5" in result.out
    with Image.open(out) as picture:
        assert picture.width > 300
        assert len(picture.convert("RGB").getcolors(maxcolors=10**6)) > 50


def test_a_figure_s_numbers_are_json(call, faces_run, tmp_path):
    out = tmp_path / "figure.png"
    options = ("--attribute", "Bald=2", "--attribute", "Bald=-2,Male=1", "--items", 2, "--json")
    found = json.loads(call("figures", "edits", faces_run, "--out", out, *options).out)
    assert found["edits"] == [{"Bald": 2.0}, {"Bald": -2.0, "Male": 1.0}]
    assert [len(values) for values in found["attributes"]] == [40, 40]


def test_one_photo_varied(call, faces_run, drawn, tmp_path):
    out, photo = tmp_path / "figure.png", drawn / "img_align_celeba" / "000007.jpg"
    result = call("figures", "variations", faces_run, "--photo", photo, "--out", out)
    assert result.code == 0
    assert result.out.startswith("000007.jpg: input x")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("edits", "--attribute", "Smilling=2"), "no such attribute. Nearest: Smiling"),
        (("attribute-map", "--attribute", "Smiling=x"), "'x' is no finite number"),
        (("attribute-faces", "--image", "attributes"), "holds a picture"),
        (("attribute-map", *("--attribute", "Bald=1") * 20), "too many to distinguish"),
        (("variations", "--photo", "nowhere.jpg"), "nowhere.jpg: there is no such file"),
    ],
)
def test_mistakes_end_with_2_and_write_nothing(call, faces_run, tmp_path, arguments, message):
    kind, *options = arguments
    result = call("figures", kind, faces_run, *options, "--out", tmp_path / "z.png")
    assert (result.code, result.out) == (2, "")
    assert message in result.err
    assert result.err.count("\n") == 1
    assert not list(tmp_path.iterdir())

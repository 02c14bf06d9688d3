"""``mmvae edit`` writes one strip, or one line that says why not."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
from PIL import Image

import mmvae


@pytest.fixture
def photo(drawn, tmp_path, monkeypatch) -> Path:
    """``photo.jpg`` in the working folder."""
    monkeypatch.chdir(tmp_path)
    return Path(shutil.copy(drawn / "img_align_celeba" / "000003.jpg", "photo.jpg"))


def test_the_strip_goes_to_a_new_file(call, faces_run, photo):
    for name in ("edited.png", "edited-2.png"):
        result = call("edit", faces_run, photo)
        assert (result.code, result.err) == (0, f"Wrote {name}\n")
        assert result.out.startswith("photo.jpg: input x; attributes w")
        assert "Experiment small, step 2, training seed 0." in result.out
    with Image.open("edited.png") as first, Image.open("edited-2.png") as second:
        assert first.size[0] > 3 * first.size[1]
        assert first.tobytes() == second.tobytes(), "nothing is drawn at random"


def test_a_named_file_is_replaced_and_that_is_said(call, faces_run, photo):
    for said in ("Wrote", "Replaced"):
        assert call("edit", faces_run, photo, "--out", "z.png").err == f"{said} z.png\n"


def test_the_photo_is_not_replaced(call, faces_run, photo):
    with Image.open(photo) as picture:
        picture.save("photo.png")
    before = Path("photo.png").read_bytes()
    result = call("edit", faces_run, "photo.png", "--out", "./photo.png")
    assert result.code == 2
    assert "would replace the data that this command reads" in result.err
    assert Path("photo.png").read_bytes() == before


def test_the_data_of_the_run_are_not_needed(call, faces_run, photo, tmp_path):
    run = Path(shutil.copytree(faces_run, tmp_path / "run"))
    config = run / "config.resolved.toml"
    lines = config.read_text().splitlines()
    gone = ['root = "gone"' if line.startswith("root = ") else line for line in lines]
    config.write_text("\n".join(gone))
    assert "gone" in config.read_text()
    assert call("edit", run, photo).code == 0


def test_json(call, faces_run, photo):
    edits = ("--attribute", "Smiling=2", "--attribute", "Male=-2,Bald=2")
    result = call("edit", faces_run, photo, *edits, "--json")
    found = json.loads(result.out)
    assert set(found) == {"out", "caption", "edits", "attributes"}
    assert found["edits"] == [{"Smiling": 2.0}, {"Male": -2.0, "Bald": 2.0}]
    assert len(found["attributes"]) == 40


MISTAKES = [
    (("--attribute", "Smilling=2"), "--attribute Smilling: no such attribute. Nearest: Smiling"),
    (("--attribute", "Smiling=much"), "'much' is no finite number"),
    (("--attribute", "Smiling"), "expected NAME=VALUE"),
    (("--image", "attributes"), "holds a picture"),
    (("--out", "nowhere/z.png"), "there is no folder nowhere"),
    (("--out", "z.jpg"), "unknown ending '.jpg', expected .png"),
]


@pytest.mark.parametrize(("options", "message"), MISTAKES)
def test_mistakes_are_one_line_and_write_nothing(call, faces_run, photo, options, message):
    result = call("edit", faces_run, photo, *options)
    assert (result.code, result.out) == (2, "")
    assert message in result.err
    assert result.err.count("\n") == 1
    assert os.listdir() == ["photo.jpg"]


def test_a_folder_that_may_not_be_written_to(call, faces_run, photo, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    result = call("edit", faces_run, photo, "--out", "z.png")
    assert (result.code, result.out) == (2, "")
    assert "--out z.png: the folder . may not be written to" in result.err


def test_a_bad_photo_is_named(call, faces_run, photo):
    photo.write_bytes(photo.read_bytes()[:3000])
    result = call("edit", faces_run, photo)
    assert (result.code, result.out) == (2, "")
    assert result.err.startswith("error: photo.jpg: no picture that can be read")
    assert os.listdir() == ["photo.jpg"]


def test_a_run_without_attributes_is_named(call, photo, tmp_path):
    config = {
        "data": {"source": "digits"},
        "modalities": {"image": {"codec": "bernoulli-image", "encoder": [4], "decoder": [4]}},
        "model": {"latent_dim": 2},
    }
    mmvae.train(config, run_dir=tmp_path / "digits", max_steps=1)
    result = call("edit", tmp_path / "digits", photo)
    assert (result.code, result.out) == (2, "")
    assert f"{tmp_path / 'digits'}: expected a modality that holds signed attributes" in result.err


def test_no_run(call, photo):
    result = call("edit", "nowhere", photo)
    assert (result.code, result.out) == (2, "")
    assert "There is no run folder nowhere" in result.err


def test_help_has_an_example(call):
    result = call("edit", "--help")
    assert result.code == 0
    assert "Example:\n    mmvae edit runs/faces photo.jpg" in result.out
    assert "Eyeglasses=2" in result.out

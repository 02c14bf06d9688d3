"""Sheets of samples are written while a model trains, and change nothing in it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from mmvae_images.samples import GAP, Samples, sheet
from PIL import Image

import mmvae
from mmvae.testing import ObserverContract

PICTURES = (np.random.default_rng(0).random((40, 6, 8)) * 255).astype(np.uint8)
DATA = {"image": PICTURES, "number": np.arange(40.0) % 2}


class TestContract(ObserverContract):
    observer = Samples
    keys = {"modality": "a", "count": 5}


def train(folder, **observer):
    config = {
        "modalities": {
            "image": {"codec": "bernoulli-image", "encoder": [8], "decoder": [8]},
            "number": {"codec": "vector", "encoder": [8], "decoder": [8]},
        },
        "model": {"latent_dim": 2, "fusion_dim": 8},
        "train": {"epochs": 4, "batch_size": 20, "device": "cpu"},
    }
    if observer:
        config["observers"] = {"sheets": {"kind": "samples", **observer}}
    return mmvae.train(config, DATA, run_dir=folder).model.model.state_dict()


def test_sheets_are_written_and_the_training_is_the_same(tmp_path):
    with_ = train(tmp_path / "with", modality="image", count=5, every=2)
    without = train(tmp_path / "without")
    assert all(torch.equal(weights, without[name]) for name, weights in with_.items())
    names = sorted(path.name for path in (tmp_path / "with" / "sheets").iterdir())
    assert names == ["epoch-0002.png", "epoch-0004.png"]
    with Image.open(tmp_path / "with" / "sheets" / names[0]) as picture:
        assert picture.size == (3 * 8 + 2 * GAP, 2 * 6 + GAP)


def test_values_that_are_not_finite_are_not_drawn(tmp_path, monkeypatch):
    """The training ends with the message of ``generate``, and goes on where it was."""
    model, first = mmvae.models.jmvae.JMVAE, True

    def overflows(self, modality, z, *given):
        nonlocal first
        found = real(self, modality, z, *given)
        spoil = modality == "image" and len(z) == 5 and not first
        first = first and len(z) != 5  # the observer looks once before the training begins
        return found.index_fill(0, torch.tensor([1]), torch.nan) if spoil else found

    real = model.parameters_of
    with monkeypatch.context() as patch:
        patch.setattr(model, "parameters_of", overflows)
        said = "image: the decoder's output of item 1 is nan, expected finite numbers"
        with pytest.raises(mmvae.MmvaeError, match=f"{said}.*1 of 5 .*Nothing is written"):
            train(tmp_path / "run", modality="image", count=5)
    assert list((tmp_path / "run" / "sheets").glob("*")) == []
    assert mmvae.resume(tmp_path / "run", data=DATA).outcome == "finished"


@pytest.mark.parametrize(
    ("modality", "said"),
    [
        ("imgae", "expected a modality that the model generates on its own: image, number"),
        ("number", "its values are shown as text"),
    ],
)
def test_what_cannot_be_drawn_is_refused(tmp_path, modality, said):
    with pytest.raises(
        mmvae.ConfigError, match=f"observers.sheets.modality = '{modality}': {said}"
    ):
        train(tmp_path / "run", modality=modality)


def test_a_sheet_holds_each_picture_in_its_place():
    pictures = [Image.new("L", (4, 3), grey) for grey in (10, 20, 30)]
    whole = sheet(pictures)
    assert whole.size == (2 * 4 + GAP, 2 * 3 + GAP)
    places = [(0, 0), (4 + GAP, 0), (0, 3 + GAP)]
    assert [whole.getpixel(place)[0] for place in places] == [10, 20, 30]
    assert whole.getpixel((4 + GAP, 3 + GAP)) == (255, 255, 255)

"""A model folder gives back the model that was saved, and nothing else."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from toys import (
    ClassCodec,
    PictureCodec,
    ToySource,
    VectorCodec,
    VectorConfig,
    toy_config,
    toy_registry,
)

import mmvae
from mmvae.foundations import operations
from mmvae.foundations.errors import CheckpointError, PluginError, RunError, TrainingError
from mmvae.inference.model_folder import check_states, load_model, save_model
from mmvae.models.jmvae import JMVAE
from mmvae.plugins.registry import Registry
from mmvae.runs.run import Run


@pytest.fixture
def copy(toy_run: Path, tmp_path: Path) -> Path:
    """A copy of the finished run, to damage."""
    shutil.copytree(toy_run, tmp_path / "run")
    return tmp_path / "run"


def test_run_and_folder_load_to_the_same_model(toy_run) -> None:
    registry = toy_registry()
    a, b = load_model(toy_run, registry), load_model(toy_run / "model", registry)
    assert a.modalities == b.modalities == ("v", "c", "p"), "in the order of the configuration"
    weights = a.model.state_dict()
    assert all((weights[k] == w).all() for k, w in b.model.state_dict().items())
    assert a.columns == {"v": "v", "c": "c", "p": "w"}
    assert not a.model.training


def test_saved_and_loaded_models_are_equal(toy_run, tmp_path) -> None:
    trained = load_model(toy_run, toy_registry())
    save_model(tmp_path / "m", trained.model, trained.model.state_dict(), 3)
    again = load_model(tmp_path / "m", toy_registry())
    data = ToySource(ToySource.Config()).splits()["test"]
    assert (trained.embed(data) == again.embed(data)).all()
    assert again.codecs["c"].classes == trained.codecs["c"].classes
    assert again.codecs["v"].config == trained.codecs["v"].config


def test_it_may_be_moved(copy) -> None:
    (copy / "model").rename(copy.parent / "elsewhere")
    shutil.rmtree(copy)
    assert load_model(copy.parent / "elsewhere", toy_registry()).modalities == ("v", "c", "p")


def test_an_unfinished_run_loads_its_newest_checkpoint(tmp_path) -> None:
    result = mmvae.train(
        toy_config(), max_steps=2, run_dir=tmp_path / "run", registry=toy_registry()
    )
    shutil.rmtree(tmp_path / "run" / "model")
    found = load_model(tmp_path / "run", toy_registry()).model.state_dict()
    assert all((found[k] == w).all() for k, w in result.model.model.state_dict().items())


def test_a_run_without_any_model(tmp_path) -> None:
    Run.create(tmp_path / "run", "", "", {}, {})
    with pytest.raises(RunError, match=r"holds no model yet.*mmvae resume"):
        load_model(tmp_path / "run", toy_registry())
    with pytest.raises(RunError, match="There is no run folder"):
        load_model(tmp_path / "nowhere", toy_registry())
    with pytest.raises(RunError, match="no run folder"):
        load_model(tmp_path, toy_registry())


def test_any_flipped_byte_is_found(copy) -> None:
    """At a few places of every file of the folder, first and last byte included."""
    for file in sorted((copy / "model").iterdir()):
        sound = file.read_bytes()
        for at in np.linspace(0, len(sound) - 1, 5).astype(int):
            damaged = bytearray(sound)
            damaged[at] ^= 4
            file.write_bytes(damaged)
            with pytest.raises(CheckpointError):
                load_model(copy, toy_registry())
        file.write_bytes(sound)
    load_model(copy, toy_registry())


@pytest.mark.parametrize("name", ["model.safetensors", "state.json"])
def test_a_missing_file_is_named(copy, name: str) -> None:
    (copy / "model" / name).unlink()
    with pytest.raises(CheckpointError, match=name):
        load_model(copy, toy_registry())


def test_a_missing_plugin_is_named(toy_run) -> None:
    registry = Registry.of(codecs=[VectorCodec, PictureCodec], sources=[], models=[JMVAE])
    with pytest.raises(PluginError, match=r"not available\. codec 'toy-class' of memory"):
        load_model(toy_run, registry)


def test_a_plugin_of_another_version_is_no_silent_fit(toy_run) -> None:
    class Older(VectorCodec):
        Config = mmvae.CodecConfig  # knows neither hidden nor gaps

    registry = Registry.of(codecs=[Older, PictureCodec, ClassCodec], models=[JMVAE])
    with pytest.raises(CheckpointError, match="does not fit the installed plugins"):
        load_model(toy_run, registry)


def test_saving_that_fails_leaves_the_older_model(toy_run, tmp_path, monkeypatch) -> None:
    trained = load_model(toy_run, toy_registry())
    save_model(tmp_path / "m", trained.model, trained.model.state_dict(), 3)
    before = {path.name: path.read_bytes() for path in (tmp_path / "m").iterdir()}

    def fault(operation: str, *paths: object) -> None:
        if operation == "write":
            raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(operations, "fault", fault)
        with pytest.raises(TrainingError, match="No space left"):
            save_model(tmp_path / "m", trained.model, trained.model.state_dict(), 4)
    assert {path.name: path.read_bytes() for path in (tmp_path / "m").iterdir()} == before
    assert [path.name for path in tmp_path.iterdir()] == ["m"]


def test_nothing_is_unpickled(toy_run, monkeypatch) -> None:
    import pickle

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("unpickled")

    monkeypatch.setattr(pickle, "Unpickler", refuse)
    monkeypatch.setattr(pickle, "load", refuse)
    monkeypatch.setattr(pickle, "loads", refuse)
    monkeypatch.setattr(torch, "load", refuse)
    load_model(toy_run, toy_registry())


def test_a_run_in_training_without_a_checkpoint_says_to_wait(tmp_path) -> None:
    run = Run.create(tmp_path / "r", "", "", {}, {})
    with run.locked(), pytest.raises(RunError, match=r"being trained .* Wait for the first"):
        load_model(run.folder, toy_registry())


@pytest.mark.parametrize("kind", [["x"], [], "text", [1]])
def test_an_unknown_type_of_a_column_is_refused(kind) -> None:
    codec = VectorCodec(VectorConfig(), {"read as": kind})
    with pytest.raises(CheckpointError, match="'read as' is"):
        check_states({"v": codec}, "model")
    check_states({"v": VectorCodec(VectorConfig(), {"read as": ["number"]})}, "model")

"""A training's state as tensors and numbers, and back from them."""

from __future__ import annotations

import json

import pytest
import torch
from torch import nn
from toys import VectorCodec
from trainings import (
    Moment,
    assert_same_tensors,
    config,
    latest,
    moments,
    registry,
    resume,
    train,
)

from mmvae.foundations.errors import CheckpointError
from mmvae.inference.model_folder import load_model
from mmvae.training.ema import WeightAverage
from mmvae.training.state import codec_numbers, codec_states, codec_tensors, load_weights


class LearnedCodec(VectorCodec):
    """Vectors in units learned from the training split: a tensor and a number."""

    kind = "toy-learned"

    def fit(self, column):
        values = torch.as_tensor(column.values)
        return {"centre": values.mean(0), "scale": float(values.std())}

    def to_input(self, x):
        return (x.float() - self.state["centre"]) / self.state["scale"]


def test_what_codecs_learned_comes_back_exactly():
    codecs = {
        "a": LearnedCodec(None, {"centre": torch.tensor([0.1, 1 / 3]), "scale": 1 / 3}),
        "b": VectorCodec(None),
    }
    numbers, tensors = codec_numbers(codecs), codec_tensors(codecs)
    states = codec_states(json.loads(json.dumps(numbers)), tensors)
    assert states.keys() == {"a", "b"}
    assert states["a"]["scale"] == 1 / 3
    assert torch.equal(states["a"]["centre"], codecs["a"].state["centre"])
    assert states["b"] == {}


def test_codecs_are_fitted_once_and_come_back_with_run_and_model(tmp_path, monkeypatch):
    modalities = {"v": {"codec": "toy-learned"}, "c": {"codec": "toy-class"}}
    plugins = registry(LearnedCodec)
    settings = config(modalities=modalities)
    train(tmp_path / "whole", settings, registry=plugins)
    train(tmp_path / "run", settings, registry=plugins, max_steps=7)

    def refit(self, column):
        raise AssertionError("fitted again")

    monkeypatch.setattr(LearnedCodec, "fit", refit)
    result = resume(tmp_path / "run", registry=plugins)
    assert_same_tensors(latest(tmp_path / "run"), latest(tmp_path / "whole"))
    loaded = load_model(tmp_path / "run", plugins)
    centre = loaded.codecs["v"].state["centre"]
    assert torch.equal(centre, result.model.codecs["v"].state["centre"])


@pytest.mark.parametrize("order", ["vwc", "cwv", "wcv"])
def test_a_loaded_model_has_the_modalities_in_their_order(order, tmp_path):
    kinds = {"v": "toy-vector", "w": "toy-vector", "c": "toy-class"}
    modalities = {m: {"codec": kinds[m]} for m in order}
    result = train(tmp_path / "run", config(modalities=modalities), max_steps=2)
    for folder in (tmp_path / "run", tmp_path / "run" / "model"):
        loaded = load_model(folder, registry())
        assert "".join(loaded.modalities) == order
        for name, value in result.model.model.state_dict().items():
            assert torch.equal(loaded.model.state_dict()[name], value)


def test_a_checkpoint_holds_no_path_of_code(tmp_path):
    """It names plugins by their words: nothing in it could be imported."""
    train(tmp_path / "run", config(), max_steps=1)
    text = json.dumps(latest(tmp_path / "run").state)
    assert "toy-noisy" in text
    assert "trainings" not in text
    assert "NoisyCodec" not in text


def test_weights_of_another_model_are_named():
    model = nn.Linear(2, 3)
    weights = dict(model.state_dict())
    with pytest.raises(CheckpointError, match="here: weight 'bias' is missing"):
        load_weights(model, {"weight": weights["weight"]}, "here")
    with pytest.raises(CheckpointError, match="here: weight 'more' is not part of this model"):
        load_weights(model, weights | {"more": weights["bias"]}, "here")
    with pytest.raises(CheckpointError, match=r"weight 'bias' has shape \(4,\).*expects \(3,\)"):
        load_weights(model, weights | {"bias": torch.zeros(4)}, "here")
    assert torch.equal(model.weight, weights["weight"])


def test_a_mean_moves_shared_weights_once_and_copies_whole_numbers():
    class Shared(nn.Module):
        def __init__(self):
            super().__init__()
            self.one = nn.Linear(2, 2, bias=False)
            self.other = self.one
            self.register_buffer("count", torch.tensor(1))

    model = Shared()
    first = model.one.weight.detach().clone()
    average = WeightAverage(model, 0.75)
    average.update(model, 0)
    with torch.no_grad():
        model.one.weight += 1.0
        model.count += 1
    average.update(model, 10**6)  # so late that the decay is the one asked for
    torch.testing.assert_close(average.model.one.weight, first + 0.25)
    assert int(average.model.count) == 2
    assert not average.model.one.weight.requires_grad


def killed(folder, at):
    """Go on with a run up to a step, as if killed right after a checkpoint."""
    moment = Moment(at + 1, lambda x: 1 / 0, resumed=True)
    with pytest.raises(ZeroDivisionError):
        resume(folder, registry=moments(moment)[1])


def test_an_unfinished_run_loads_its_newest_weights_not_an_older_model(tmp_path):
    settings, plugins = moments(Moment(0, None), train={"checkpoint_every": 1})
    for epochs in (3, 4):
        train(tmp_path / f"{epochs}", settings, registry=plugins, max_steps=3)
        assert (tmp_path / f"{epochs}" / "model").is_dir()
        killed(tmp_path / f"{epochs}", epochs)
        step = latest(tmp_path / f"{epochs}").step
        assert step == 3 + epochs
        train(tmp_path / f"whole {epochs}", settings, registry=plugins, max_steps=step)
        found = load_model(tmp_path / f"{epochs}", plugins).model.state_dict()
        best = latest(tmp_path / f"whole {epochs}").tensors
        expected = best.get("best", best["model"])
        assert all(torch.equal(found[name], value) for name, value in expected.items())


def test_an_unfinished_run_loads_the_mean_of_its_weights(tmp_path):
    data = {"source": "toy", "validation": 0}
    keys = {"checkpoint_every": 1, "ema": 0.9}
    settings, plugins = moments(Moment(5, lambda x: 1 / 0), data=data, train=keys)
    with pytest.raises(ZeroDivisionError):
        train(tmp_path / "run", settings, registry=plugins)
    saved = latest(tmp_path / "run")
    assert saved.step == 4
    found = load_model(tmp_path / "run", plugins).model.state_dict()
    for name, value in saved.tensors["average"].items():
        assert torch.equal(found[name], value)

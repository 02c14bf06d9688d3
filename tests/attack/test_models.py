"""What a model says of itself is checked before it is used."""

from __future__ import annotations

import json
import random
import time
from pathlib import Path

import pytest
import torch
from attack.mutations import loose_json, reseal, state_of
from safetensors.torch import load, save
from torch import nn
from toys import ClassCodec, VectorCodec, toy_registry
from trainings import config, latest, resume, train

from mmvae.foundations.errors import CheckpointError, ConfigError, MmvaeError, TrainingError
from mmvae.inference.model_folder import load_model
from mmvae.modalities.column import Column
from mmvae.training.model_description import Description, fitting, no_larger_than
from mmvae.training.state import position_of

BAD = {
    "nan": (lambda w: w * torch.nan, "holds NaN or infinity"),
    "infinite": (lambda w: w / 0.0, "holds NaN or infinity"),
    "whole": (lambda w: w.long(), r"holds torch.int64, this model expects torch.float32"),
    "complex": (lambda w: w.to(torch.complex64), "holds torch.complex64"),
    "double": (lambda w: w.double(), "holds torch.float64"),
    "half": (lambda w: w.half(), "holds torch.float16"),
    "shape": (lambda w: w[..., :1], "has shape"),
}


def spoil(run: Path, name: str, change) -> None:
    weights = load((run / "model" / "model.safetensors").read_bytes())
    value = weights.pop(name)
    weights |= change(value)
    reseal(run / "model", "model.safetensors", save(weights))


def first_weight(run: Path) -> str:
    return min(load((run / "model" / "model.safetensors").read_bytes()))


@pytest.mark.parametrize("kind", BAD)
def test_weights_that_are_none_are_refused(run: Path, kind: str) -> None:
    change, said = BAD[kind]
    name = first_weight(run)
    spoil(run, name, lambda w: {name: change(w).contiguous()})
    with pytest.raises(CheckpointError, match=said) as error:
        load_model(run, toy_registry())
    assert name in str(error.value)
    assert error.value.exit_code == 5


def test_weights_of_other_names_are_named(run: Path) -> None:
    name = first_weight(run)
    spoil(run, name, lambda w: {"\x1b[2J/../x": w})
    with pytest.raises(CheckpointError, match="another model's checkpoint") as error:
        load_model(run, toy_registry())
    assert "\x1b" not in str(error.value)


def test_a_model_without_weights_is_told(run: Path) -> None:
    manifest = run / "model" / "MANIFEST.json"
    reseal(run / "model", "other.safetensors", save({"w": torch.ones(1)}))
    document = json.loads(manifest.read_bytes())
    from mmvae.runs.manifest import with_checksum

    document.pop("sha256")
    del document["files"]["model.safetensors"]
    manifest.write_bytes(with_checksum(document))
    with pytest.raises(CheckpointError, match=r"it has no model\.safetensors"):
        load_model(run, toy_registry())


def test_a_size_is_compared_with_the_weights_before_memory_is_taken(run: Path) -> None:
    document = json.loads((run / "model" / "state.json").read_bytes())
    document["modalities"]["v"]["hidden"] = 10**7
    document["model"]["latent_dim"] = 10**6
    reseal(run / "model", "state.json", loose_json(document))
    began = time.monotonic()
    with pytest.raises(CheckpointError, match="much larger networks than it has weights for"):
        load_model(run, toy_registry())
    assert time.monotonic() - began < 5


def many() -> None:
    while True:
        nn.Linear(1, 1)


LARGE = {
    "a layer": lambda: nn.Linear(10**5, 10**5),
    "many layers": many,
    "a buffer": lambda: nn.Module().register_buffer("b", torch.zeros(10**10)),
    "a range": lambda: torch.arange(10**11),
    "an outer product": lambda: torch.ones(10**6)[:, None] * torch.ones(10**6),
    "a repetition": lambda: torch.ones(1000).repeat(10**9),
    "one-hot": lambda: nn.functional.one_hot(torch.arange(3), 10**10),
    "an eye": lambda: torch.eye(10**6),
}


@pytest.mark.parametrize("kind", LARGE)
def test_networks_do_not_outgrow_their_weights(kind: str) -> None:
    with pytest.raises(CheckpointError, match="much larger"), no_larger_than({"w": torch.ones(9)}):
        LARGE[kind]()


def test_networks_of_the_size_of_their_weights_are_built_as_ever() -> None:
    torch.manual_seed(0)
    plain = nn.Sequential(nn.Linear(3000, 3000), nn.BatchNorm1d(3000)).state_dict()
    torch.manual_seed(0)
    with no_larger_than(plain):
        bounded = nn.Sequential(nn.Linear(3000, 3000), nn.BatchNorm1d(3000)).state_dict()
    assert all(torch.equal(plain[name], bounded[name]) for name in plain)
    nn.Linear(4000, 4000)  # the bound ends with the block


def test_out_of_memory_is_told_as_such() -> None:
    with pytest.raises(TrainingError, match="Out of memory while the model of m is built"):
        with fitting("m"):
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to")


@pytest.mark.parametrize("seed", range(60))
def test_any_mutation_loads_or_is_refused(run: Path, victim: Path, seed: int) -> None:
    state_of(run / "model", random.Random(f"models {seed}"), victim)
    drawn, said = {}, ""
    try:
        drawn = load_model(run, toy_registry()).generate(count=2)
    except MmvaeError as error:
        said = str(error)
    assert said or {len(values) for values in drawn.values()} == {2}


def test_loading_leaves_random_numbers_alone(run: Path) -> None:
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    load_model(run, toy_registry())
    assert torch.equal(torch.rand(2), expected)


def changed_checkpoint(folder: Path, change) -> None:
    path = latest(folder).path
    state = json.loads((path / "state.json").read_bytes())
    change(state)
    reseal(path, "state.json", loose_json(state))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda s: s["position"].update(step=-1), "its position in the training is not what"),
        (lambda s: s["position"].update(step=10**30), "its position in the training is not what"),
        (
            lambda s: s["position"].update(step=0),
            "position.step is 0, but its manifest says step 3",
        ),
        (lambda s: s["position"].update(best_step=4), "position.best_step is 4, expected at most"),
        (lambda s: s.pop("position"), "its position in the training is not what"),
        (lambda s: s.pop("terms"), "does not fit this run"),
        (lambda s: s["terms"].update(steps=[]), "does not fit this run"),
        (lambda s: s.update(order=["../x"]), "its description is not what mmvae writes"),
        (lambda s: s["codecs"]["c"].update(classes=7), "its description does not fit"),
        (lambda s: s["codecs"]["c"]["classes"].append("\ud800"), "surrogates not allowed"),
    ],
)
def test_a_checkpoint_is_checked_before_a_resume(tmp_path: Path, change, said: str) -> None:
    train(tmp_path / "run", config(), max_steps=3)
    changed_checkpoint(tmp_path / "run", change)
    with pytest.raises(CheckpointError, match=said):
        resume(tmp_path / "run")


def test_a_checkpoint_after_the_last_step_is_refused(tmp_path: Path) -> None:
    """Fewer epochs than were done are no schedule that the checkpoint lies in."""
    train(tmp_path / "run", config(train={"epochs": 2}))
    with pytest.raises(CheckpointError, match="train.epochs = 1 with these data ends at step"):
        resume(tmp_path / "run", overrides=["train.epochs=1"])


def test_an_emptied_optimizer_is_refused(tmp_path: Path) -> None:
    train(tmp_path / "run", config(), max_steps=3)
    path = latest(tmp_path / "run").path
    (file,) = path.glob("optimizer-*.safetensors")
    reseal(path, file.name, save({}))
    with pytest.raises(CheckpointError, match=r"lacks '0\.\w+', which this optimizer needs"):
        resume(tmp_path / "run")


def test_a_state_that_its_codec_refuses_is_told(run: Path, monkeypatch) -> None:
    def check_state(codec):
        raise ValueError("deviation is 0")

    monkeypatch.setattr(ClassCodec, "check_state", check_state)
    with pytest.raises(CheckpointError, match="the fitted state of .* learns: deviation is 0"):
        load_model(run, toy_registry())


def test_a_description_names_the_first_thing_that_is_wrong() -> None:
    state = {"order": ["a"], "modalities": {"a": {"codec": "x"}}, "model": {"kind": "m"}}
    Description.of(state | {"codecs": {"a": {}}}, "m")
    for change, said in (
        ({}, "'codecs': Field required"),
        ({"codecs": {"b": {}}}, "'order' and 'codecs' name different modalities"),
        ({"codecs": {"a": 3}}, "'codecs'.'a'"),
        ({"codecs": {"a": {}}, "model": {}}, "model.kind is None"),
        ({"codecs": {"a": {}}, "order": ["a", "a"]}, "'order' and 'modalities'"),
    ):
        with pytest.raises(CheckpointError, match="is not what mmvae writes") as error:
            Description.of(state | change, "m")
        assert said in str(error.value)
    with pytest.raises(CheckpointError, match="is of none of its codecs"):
        Description.of(state | {"codecs": {"a": {}}}, "m").states({"b/x": torch.ones(1)}, "m")


def test_positions_of_older_checkpoints_are_read() -> None:
    older = {"step": 3, "best": None, "best_step": 0, "waiting": 0, "metrics_offset": 9}
    assert position_of({"position": older}, "c").metrics_sha256 is None


def test_a_run_does_not_ask_for_threads_that_no_machine_has(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    train(folder, config(), max_steps=1)
    file = folder / "config.resolved.toml"
    file.write_text(file.read_text().replace("[train]\n", "[train]\nthreads = 2000000000\n", 1))
    with pytest.raises(ConfigError, match=r"train\.threads.*1024"):
        resume(folder)


@pytest.mark.parametrize(
    "names", [(1, "b", "c"), (("x",), "b", "c"), (None, "b", "c"), ("a",) * 3]
)
def test_names_of_cells_that_are_none_are_refused_at_load(run: Path, monkeypatch, names) -> None:
    """A codec that checks nothing itself gives such names to all that reads them."""
    monkeypatch.setattr(
        VectorCodec, "restore", lambda codec, x: Column(x.detach().numpy(), names=names)
    )
    with pytest.raises(CheckpointError, match="v: names is .* expected names, each once"):
        load_model(run, toy_registry())

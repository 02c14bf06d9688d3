"""The Python API: train, resume, try, load; on data of a source and on data in memory."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from toys import ClassCodec, ToySource, VectorCodec, toy_config, toy_items, toy_registry

import mmvae
from mmvae import Source
from mmvae.data.memory import MemorySource
from mmvae.experiments.config import load_experiment
from mmvae.experiments.train import dry_run
from mmvae.foundations.errors import (
    CheckpointError,
    ConfigError,
    DataError,
    MmvaeError,
    PluginError,
    RunError,
    TrainingError,
    UsageError,
)
from mmvae.foundations.progress import Progress
from mmvae.inference.model_folder import load_model
from mmvae.models.jmvae import JMVAE
from mmvae.plugins.registry import Registry
from mmvae.runs.metrics_log import read_metrics
from mmvae.runs.run import Run
from mmvae.training.trainer import Trainer

REGISTRY = toy_registry()


def weights(model) -> dict[str, torch.Tensor]:
    return model.model.state_dict()


def same(a, b) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def test_a_run_holds_everything(tmp_path) -> None:
    result = mmvae.train(toy_config(), run_dir=tmp_path / "r", registry=REGISTRY)
    assert (result.outcome, result.run, result.steps) == ("finished", tmp_path / "r", 6)
    run = Run.open(tmp_path / "r")
    status = run.status()
    assert (status.state, status.exit_code, status.step, status.epoch) == ("finished", 0, 6, 2)
    again = load_experiment(run.resolved, registry=REGISTRY).experiment
    assert again == load_experiment(toy_config(), registry=REGISTRY).experiment
    env = json.loads((run.folder / "env.json").read_text())
    assert env["data"]["items"] == {"train": 60, "validation": 20, "test": 20}
    assert env["packages"]["torch"] == torch.__version__
    plugins = json.loads((run.folder / "plugins.lock.json").read_text())
    assert set(plugins) == {
        "source toy",
        "model jmvae",
        "codec toy-vector",
        "codec toy-class",
    }
    splits = [record["split"] for record in read_metrics(run.metrics)]
    assert splits == ["train", "validation"] * 2
    assert same(weights(load_model(run.folder, REGISTRY)), weights(result.model))
    assert result.model.modalities == ("v", "c")


def test_the_same_seed_gives_the_same_model(tmp_path) -> None:
    a, b, other = (
        mmvae.train(
            toy_config(train={"seed": seed}), run_dir=tmp_path / name, registry=REGISTRY
        ).model
        for name, seed in (("a", 0), ("b", 0), ("c", 1))
    )
    assert same(weights(a), weights(b))
    assert not same(weights(a), weights(other))


def test_the_callers_random_state_is_left_alone(tmp_path) -> None:
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    mmvae.train(toy_config(), run_dir=tmp_path / "r", registry=REGISTRY)
    assert torch.equal(torch.rand(3), expected)


def test_resumed_training_ends_as_one_that_was_not_stopped(tmp_path) -> None:
    whole = mmvae.train(toy_config(), run_dir=tmp_path / "whole", registry=REGISTRY)
    first = mmvae.train(toy_config(), run_dir=tmp_path / "r", max_steps=2, registry=REGISTRY)
    assert (first.outcome, first.steps) == ("stopped", 2)
    second = mmvae.resume(tmp_path / "r", max_steps=4, registry=REGISTRY)
    assert (second.outcome, second.steps) == ("stopped", 4)
    third = mmvae.resume(tmp_path / "r", registry=REGISTRY)
    assert (third.outcome, third.steps) == ("finished", 6)
    assert same(weights(third.model), weights(whole.model))


def test_data_in_memory_train_as_a_source_does(tmp_path) -> None:
    splits = ToySource(ToySource.Config()).splits()
    data = {
        name: {column: split.columns[column].values for column in ("v", "c")}
        for name, split in splits.items()
    }
    config = toy_config()
    source = mmvae.train(config, run_dir=tmp_path / "a", registry=REGISTRY)
    del config["data"]
    memory = mmvae.train(config, data, run_dir=tmp_path / "b", registry=REGISTRY)
    assert same(weights(source.model), weights(memory.model))
    with pytest.raises(DataError, match="Pass them again as data="):
        mmvae.resume(tmp_path / "b", registry=REGISTRY)
    longer = ["train.epochs=3"]
    resumed = mmvae.resume(tmp_path / "b", data, overrides=longer, registry=REGISTRY)
    assert resumed.steps == 9


def test_data_in_one_piece_are_split(tmp_path) -> None:
    import datasets

    items = toy_items(50)
    config = toy_config(data={"source": "memory", "test": 0.2})
    for name, data in (
        ("arrays", items),
        ("dataset", datasets.Dataset.from_dict({k: v.tolist() for k, v in items.items()})),
    ):
        mmvae.train(config, data, run_dir=tmp_path / name, registry=REGISTRY)
        env = json.loads((tmp_path / name / "env.json").read_text())
        assert env["data"]["items"] == {"train": 35, "validation": 5, "test": 10}


def test_one_modality_and_three(tmp_path) -> None:
    vector, label = {"codec": "toy-vector"}, {"codec": "toy-class"}
    for modalities in ({"v": vector}, {"w": vector, "c": label, "v": vector}):
        config = toy_config(modalities=modalities)
        result = mmvae.train(config, run_dir=tmp_path / str(len(modalities)), registry=REGISTRY)
        assert result.model.modalities == tuple(modalities)
        assert set(result.model.generate()) == set(modalities)


def test_the_best_weights_by_validation_are_kept(tmp_path) -> None:
    """A learning rate that wrecks what was learned leaves the model of the best epoch."""
    config = toy_config(train={"epochs": 6, "learning_rate": 1e-2})
    good = mmvae.train(config, run_dir=tmp_path / "r", max_steps=12, registry=REGISTRY)
    wreck = ["train.learning_rate=1.0"]
    wrecked = mmvae.resume(tmp_path / "r", overrides=wreck, registry=REGISTRY)
    records = read_metrics(tmp_path / "r" / "metrics.jsonl")
    values = [r["objective"] for r in records if r["split"] == "validation"]
    assert len(values) == 6
    assert values.index(max(values)) == 3
    assert same(weights(wrecked.model), weights(good.model))


def test_init_from_takes_the_weights(tmp_path) -> None:
    first = mmvae.train(toy_config(), run_dir=tmp_path / "a", registry=REGISTRY)
    still = toy_config(train={"learning_rate": 1e-30, "seed": 9, "epochs": 1})
    for number, origin in enumerate((tmp_path / "a", tmp_path / "a" / "model")):
        second = mmvae.train(
            still, run_dir=tmp_path / str(number), init_from=origin, registry=REGISTRY
        )
        assert same(weights(second.model), weights(first.model))


@pytest.mark.parametrize("damaged", [False, True])
def test_a_run_whose_failure_cannot_be_noted_keeps_its_metrics(
    tmp_path, monkeypatch, damaged
) -> None:
    run, log = Run(tmp_path / "r"), Trainer.log

    def unwritten(*args, **keys):
        raise TrainingError("No space left on device")

    def fail(trainer, done):
        log(trainer, done)
        if damaged:
            (run.folder / "status.json").write_text("{")
        monkeypatch.setattr(Run, "write_status", unwritten)
        raise DataError("item 7 cannot be read")

    monkeypatch.setattr(Trainer, "log", fail)
    with pytest.raises(DataError, match="item 7"):
        mmvae.train(toy_config(), run_dir=run.folder, registry=REGISTRY)
    assert run.saved_nothing
    assert [record["split"] for record in read_metrics(run.metrics)] == ["train"]


def test_dry_run_builds_and_leaves_nothing(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    found = dry_run(toy_config(), registry=REGISTRY)
    assert list(tmp_path.iterdir()) == []
    terms = found.pop("terms")
    parameters = found.pop("parameters")
    assert found == {
        "name": "toy",
        "items": {"train": 60, "validation": 20, "test": 20},
        "modalities": {"v": [3], "c": [3]},
        "latent_dim": 2,
        "steps": 6,
    }
    result = mmvae.train(toy_config(), run_dir=tmp_path / "r", max_steps=1, registry=REGISTRY)
    assert parameters == sum(value.numel() for value in weights(result.model).values())
    assert {"loss", "kl", "log_likelihood/v", "log_likelihood/c"} <= set(terms)


def test_progress_hears_of_everything_and_the_log_keeps_it(tmp_path) -> None:
    class Heard(Progress):
        def __init__(self) -> None:
            self.records: list[dict] = []
            self.lines: list[str] = []

        def record(self, record, total_steps, seconds_left) -> None:
            self.records.append(dict(record))
            assert total_steps == 6
            assert seconds_left >= 0

        def say(self, line) -> None:
            self.lines.append(line)

    heard = Heard()
    mmvae.train(toy_config(), run_dir=tmp_path / "r", progress=heard, registry=REGISTRY)
    assert heard.lines[0] == f"run folder: {tmp_path / 'r'}"
    assert heard.records == read_metrics(tmp_path / "r" / "metrics.jsonl")
    log = (tmp_path / "r" / "log.txt").read_text().splitlines()
    assert len(log) == len(heard.lines) + len(heard.records)
    assert set(heard.lines) <= set(log)


class Exploding(VectorCodec):
    kind = "exploding"

    def decoder(self, input_dim: int):
        class Explode(torch.nn.Linear):
            def forward(self, z):
                made = super().forward(z)
                return made * torch.nan if torch.is_grad_enabled() else made  # not rehearsed

        return Explode(input_dim, 3)


def test_a_failure_is_written_down(tmp_path) -> None:
    registry = Registry.of(codecs=[Exploding, ClassCodec], sources=[ToySource], models=[JMVAE])
    config = toy_config(modalities={"v": {"codec": "exploding"}, "c": {"codec": "toy-class"}})
    with pytest.raises(MmvaeError) as caught:
        mmvae.train(config, run_dir=tmp_path / "r", registry=registry)
    assert caught.value.exit_code == 1
    status = Run.open(tmp_path / "r").status()
    assert (status.state, status.exit_code, status.message) == ("failed", 1, str(caught.value))
    assert str(caught.value) in (tmp_path / "r" / "log.txt").read_text()
    assert not (tmp_path / "r" / "model").exists()
    with pytest.raises(RunError, match="holds no model yet"):
        load_model(tmp_path / "r", registry)


MISTAKES = [
    ({"train": {"epochs": 0}}, {}, ConfigError, "epochs"),
    ({"data": {"source": "tony"}}, {}, ConfigError, "Did you mean 'toy'"),
    ({"data": {"source": "memory"}}, {}, DataError, "data="),
    ({}, {"data": toy_items(9)}, UsageError, "leave one of the two out"),
    ({"modalities": {"x": {"codec": "toy-vector"}}}, {}, DataError, "needs column 'x'"),
    ({"modalities": {"c": {"codec": "toy-vector"}}}, {}, DataError, r"numbers of shape \(n, 3\)"),
    ({}, {"init_from": "nowhere"}, RunError, "There is no run folder nowhere"),
    ({"model": {"subset_alpha": {"x": 1.0}}}, {}, ConfigError, "subset_alpha"),
]


@pytest.mark.parametrize(("change", "options", "error", "message"), MISTAKES)
def test_mistakes_make_no_run(tmp_path, change, options, error, message: str) -> None:
    with pytest.raises(error, match=message):
        mmvae.train(toy_config(**change), run_dir=tmp_path / "r", registry=REGISTRY, **options)
    assert not (tmp_path / "r").exists()


def test_refused_values_make_no_run(tmp_path) -> None:
    config = toy_config(data={"source": "memory"})
    for resident in ("true", "false"):  # a training split read as needed is told in epoch 1
        for split in ("train", "validation", "test")[resident == "false" :]:
            data = {"train": toy_items(20), "validation": toy_items(10), "test": toy_items(10)}
            data[split]["v"][3, 1] = np.nan
            overrides = [f"data.resident={resident}"]
            for start in (mmvae.train, dry_run):
                place = {"run_dir": tmp_path / "r"} if start is mmvae.train else {}
                with pytest.raises(DataError, match=r"item 3, modality 'v': got nan in cell 1"):
                    start(config, data, overrides=overrides, registry=REGISTRY, **place)
                assert not (tmp_path / "r").exists()


def test_a_training_without_the_split_to_evaluate_on_says_so(tmp_path) -> None:
    heard: list[str] = []

    class Ear(Progress):
        def say(self, message: str) -> None:
            heard.append(message)

    data = {"train": toy_items(20), "validation": toy_items(10)}
    config = toy_config(data={"source": "memory"})
    keys = {"max_steps": 1, "registry": REGISTRY, "progress": Ear()}
    mmvae.train(config, data, run_dir=tmp_path / "r", **keys)
    (told,) = [line for line in heard if "evaluate" in line]
    assert "no test split" in told
    assert "--split validation" in told
    heard.clear()
    mmvae.train(config, data | {"test": toy_items(9)}, run_dir=tmp_path / "s", **keys)
    assert not any("evaluate" in line for line in heard)


def test_a_run_that_needs_a_missing_plugin(tmp_path) -> None:
    mmvae.train(toy_config(), run_dir=tmp_path / "r", max_steps=1, registry=REGISTRY)
    bare = Registry.of(codecs=[VectorCodec], sources=[ToySource], models=[JMVAE])
    with pytest.raises((ConfigError, PluginError), match="toy-class"):
        mmvae.resume(tmp_path / "r", registry=bare)


def test_resume_refuses_another_experiment(tmp_path) -> None:
    mmvae.train(toy_config(), run_dir=tmp_path / "r", max_steps=1, registry=REGISTRY)
    for override in ("model.latent_dim=3", "data.items=30", "modalities.v.hidden=4"):
        with pytest.raises(ConfigError, match="only train"):
            mmvae.resume(tmp_path / "r", overrides=[override], registry=REGISTRY)
    with pytest.raises(RunError, match="There is no run folder"):
        mmvae.resume(tmp_path / "nowhere", registry=REGISTRY)


def test_load_without_a_registry_uses_the_installed_plugins(toy_run, toy_plugin) -> None:
    assert mmvae.load(toy_run).modalities == ("v", "c", "p")
    assert mmvae.load(str(toy_run / "model")).modalities == ("v", "c", "p")


def test_a_source_is_read_once_per_training(tmp_path) -> None:
    class Counting(ToySource):
        reads = 0

        def splits(self):
            type(self).reads += 1
            return super().splits()

    registry = Registry.of(
        codecs=[VectorCodec, ClassCodec], sources=[Counting, MemorySource], models=[JMVAE]
    )
    assert issubclass(Counting, Source)
    mmvae.train(toy_config(), run_dir=tmp_path / "r", registry=registry)
    assert Counting.reads == 1
    assert Path(tmp_path / "r").is_dir()


def in_memory(values: dict) -> dict:
    return {"train": values, "test": toy_items(10, seed=1)}


def test_a_run_does_not_go_on_with_other_data_unasked(tmp_path) -> None:
    config = toy_config(data={"source": "memory"})
    data, other = in_memory(toy_items(40)), in_memory(toy_items(40, seed=5))
    mmvae.train(config, data, run_dir=tmp_path / "r", max_steps=1, registry=REGISTRY)
    env = tmp_path / "r" / "env.json"
    before = json.loads(env.read_text())["data"]["fingerprint"]
    now = MemorySource(MemorySource.Config(), other).fingerprint()
    with pytest.raises(DataError, match=f"{before}, these have {now}.*--init-from"):
        mmvae.resume(tmp_path / "r", other, registry=REGISTRY)
    assert json.loads(env.read_text())["data"]["fingerprint"] == before
    mmvae.resume(tmp_path / "r", other, other_data=True, max_steps=2, registry=REGISTRY)
    assert json.loads(env.read_text())["data"]["fingerprint"] == now
    assert mmvae.resume(tmp_path / "r", other, registry=REGISTRY).outcome == "finished"


class Scaled(VectorCodec):
    kind = "toy-scaled"

    def fit(self, column):
        return {"scale": float(np.std(column.values))}


class Rescaled(Scaled):
    kind = "toy-rescaled"


class Centred(VectorCodec):
    kind = "toy-centred"

    def fit(self, column):
        return {"centre": torch.as_tensor(column.values).mean(0)}


@pytest.mark.parametrize(
    ("codecs", "seed", "key"),
    [
        ((Scaled, Rescaled), 0, "codec = 'toy-scaled', here it is 'toy-rescaled'"),
        ((Scaled, Scaled), 5, r"scale = 1\.067\d+, here it is 1\.05"),
        ((Centred, Centred), 5, r"centre = \[.*\], here it is \["),
    ],
)
def test_weights_of_other_codecs_are_refused(tmp_path, codecs, seed, key) -> None:
    registry = Registry.of(
        codecs=[Scaled, Rescaled, Centred], sources=[MemorySource], models=[JMVAE]
    )

    def train(name, codec, seed, **options):
        config = toy_config(data={"source": "memory"}, modalities={"v": {"codec": codec.kind}})
        data, folder = in_memory(toy_items(40, seed)), tmp_path / name
        mmvae.train(config, data, run_dir=folder, registry=registry, **options)

    train("first", codecs[0], 0)
    train("same", codecs[0], 0, init_from=tmp_path / "first")
    with pytest.raises(CheckpointError, match=f"modality 'v' with {key}"):
        train("other", codecs[1], seed, init_from=tmp_path / "first")
    assert not (tmp_path / "other").exists()


def test_overrides_of_a_loaded_config_are_refused(tmp_path) -> None:
    loaded = load_experiment(toy_config(), registry=REGISTRY)
    with pytest.raises(UsageError, match=r"train.epochs=1.*load_experiment"):
        mmvae.train(
            loaded, overrides=["train.epochs=1"], run_dir=tmp_path / "r", registry=REGISTRY
        )
    assert not (tmp_path / "r").exists()


def test_resume_looks_at_values_not_at_how_they_are_written(tmp_path) -> None:
    mmvae.train(toy_config(), run_dir=tmp_path / "r", max_steps=1, registry=REGISTRY)
    for override in ("'train.batch_size'=30", '"train.seed" = 4', 'train."batch_size"=30'):
        with pytest.raises(ConfigError):
            mmvae.resume(tmp_path / "r", overrides=[override], registry=REGISTRY)
    same = ["train.batch_size=20", "model.latent_dim = 2"]
    assert mmvae.resume(tmp_path / "r", overrides=same, registry=REGISTRY).steps == 6


@pytest.mark.parametrize("key", ["train.patience=3", 'train.monitor="elbo"'])
def test_keys_that_need_a_validation_split(tmp_path, key) -> None:
    config = toy_config(data={"source": "toy", "validation": 0})
    with pytest.raises(ConfigError, match=f"{key.partition('=')[0]} = .* no validation split"):
        mmvae.train(config, overrides=[key], run_dir=tmp_path / "r", registry=REGISTRY)
    assert not (tmp_path / "r").exists()
    mmvae.train(config, run_dir=tmp_path / "r", max_steps=1, registry=REGISTRY)
    with pytest.raises(ConfigError, match="no validation split"):
        mmvae.resume(tmp_path / "r", overrides=[key], registry=REGISTRY)


def test_a_codec_that_mixes_items_is_refused_where_that_would_change_results(
    tmp_path: Path,
) -> None:
    class Mixing(VectorCodec):
        kind = "toy-mixing"
        mixes_items = True

    registry = Registry.of(codecs=[Mixing], models=[JMVAE], sources=[MemorySource])
    config = {
        "modalities": {"v": {"codec": "toy-mixing"}},
        "train": {"epochs": 1, "batch_size": 20, "accumulation": 2},
    }
    data = {"v": toy_items(100)["v"]}
    with pytest.raises(ConfigError, match=r"'v'.*train\.accumulation = 2"):
        mmvae.train(config, data, run_dir=tmp_path / "r", registry=registry)
    assert not (tmp_path / "r").exists()


def test_a_config_without_data_says_how_to_pass_them() -> None:
    with pytest.raises(UsageError, match="pass items in memory as data="):
        mmvae.train({"modalities": {"v": {"codec": "toy-vector"}}}, registry=REGISTRY)


@pytest.mark.parametrize("split", ["train", "validation"])
def test_a_training_that_overflows_names_the_item(tmp_path, split: str) -> None:
    data = {"train": toy_items(40), "validation": toy_items(20), "test": toy_items(20)}
    data[split]["v"][13, 1] = 1e25
    config = toy_config(data={"source": "memory"}, train={"batch_size": 20})
    with pytest.raises(TrainingError) as caught:
        mmvae.train(config, data, run_dir=tmp_path / "r", registry=REGISTRY)
    told = str(caught.value)
    assert f"It is that of item 13 of the {split} split" in told
    assert f"Item 13 of the {split} split, modality 'v': 1e+25 lies" in told
    assert "learning_rate" not in told
    assert Run(tmp_path / "r").status().message == told


def test_an_evaluation_that_overflows_names_the_item(tmp_path) -> None:
    data = {"train": toy_items(40), "validation": toy_items(20), "test": toy_items(20)}
    data["test"]["v"][13, 1] = 1e25
    config = toy_config(data={"source": "memory"})
    mmvae.train(config, data, run_dir=tmp_path / "r", registry=REGISTRY, max_steps=1)
    log = (tmp_path / "r" / "log.txt").read_text(encoding="utf-8")
    assert "Item 13 of the test split, modality 'v': 1e+25 lies" in log
    for bounds in ([], ["evaluate.bounds=['standard']", "evaluate.samples=2"]):
        with pytest.raises(
            TrainingError, match=r"Item 13 of the test split, modality 'v': 1e\+25"
        ):
            mmvae.evaluate(tmp_path / "r", data, overrides=bounds, registry=REGISTRY)

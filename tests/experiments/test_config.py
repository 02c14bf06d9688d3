"""An experiment is read, closed to mistakes, and can be written out and read again unchanged."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest
from nudge import nudge_registry
from pydantic import BaseModel, ValidationError, field_validator
from toys import toy_config, toy_registry

from mmvae.experiments.config import choices, load_experiment
from mmvae.experiments.config_schema import json_schema
from mmvae.foundations.errors import ConfigError
from mmvae.foundations.toml import flatten
from mmvae.plugins.registry import Registry
from mmvae.training.config import TrainConfig

MINIMAL = """\
[data]
source = "toybox"
root = "here"

[modalities.second]
codec = "toy"
size = 7

[modalities.first]
codec = "toy"
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "pair.toml"
    file.write_text(MINIMAL, encoding="utf-8")
    return file


def test_plugins_tables_are_validated_by_their_schemas(path: Path, toys: Registry) -> None:
    experiment = load_experiment(path, registry=toys).experiment
    assert experiment.name == "pair"
    assert (experiment.data.source, experiment.data.root) == ("toybox", "here")
    assert isinstance(experiment.data, toys.find("source", "toybox").Config)
    assert list(experiment.modalities) == ["second", "first"], "the order of the file"
    second, first = experiment.modalities.values()
    assert isinstance(second, toys.find("codec", "toy").Config)
    assert (second.codec, second.size, second.weight, first.size) == ("toy", 7, 1.0, 4)
    assert (experiment.model.kind, experiment.model.alpha) == ("jmvae", 0.1)
    assert experiment.train == TrainConfig()
    assert experiment.train.betas == (0.9, 0.999)


def test_the_schema_is_frozen(path: Path, toys: Registry) -> None:
    experiment = load_experiment(path, registry=toys).experiment
    for table in (experiment, experiment.train, experiment.data, experiment.modalities["first"]):
        with pytest.raises(ValidationError, match="frozen"):
            table.name = "x"


def test_origins_name_file_override_and_default(path: Path, toys: Registry) -> None:
    loaded = load_experiment(path, ["train.epochs=5", "modalities.first.size=9"], toys)
    assert loaded.origins["data.root"] == f"{path}:3"
    assert loaded.origins["modalities.second.size"] == f"{path}:7"
    assert loaded.origins["modalities.first.size"] == "-s modalities.first.size=9"
    assert loaded.origins["modalities.first.weight"] == "default"
    assert loaded.origins["train.epochs"] == "-s train.epochs=5"
    assert loaded.origins["train.clip_norm"] == "default"
    assert loaded.experiment.train.epochs == 5
    assert loaded.experiment.modalities["first"].size == 9
    assert loaded.text == MINIMAL
    assert loaded.overrides == ("train.epochs=5", "modalities.first.size=9")


def test_the_last_override_wins(path: Path, toys: Registry) -> None:
    loaded = load_experiment(path, ["train.epochs=5", "train.epochs=6"], toys)
    assert loaded.experiment.train.epochs == 6
    assert loaded.origins["train.epochs"] == "-s train.epochs=6"


@pytest.mark.parametrize(
    "overrides",
    [
        [],
        ["train.betas=[0.5, 0.9]", "train.clip_norm=5", "train.trackers=['tensorboard']"],
        [
            "modalities.first.scale=0.1",
            "model.subsets=['first']",
            "name=other",
            "model.alpha=3e-7",
        ],
        ["train.seed=9223372036854775807", "data.root='é \"x\" \\'"],
    ],
)
def test_the_resolved_file_is_the_same_experiment(tmp_path, path, toys, overrides) -> None:
    loaded = load_experiment(path, overrides, toys)
    again = tmp_path / "resolved.toml"
    again.write_text(loaded.resolved_toml(), encoding="utf-8")
    reloaded = load_experiment(again, registry=toys)
    assert reloaded.experiment == loaded.experiment
    assert reloaded.hash == loaded.hash
    assert list(reloaded.experiment.modalities) == ["second", "first"]
    from_mapping = load_experiment(tomllib.loads(loaded.resolved_toml()), registry=toys)
    assert from_mapping.experiment == loaded.experiment


def test_the_hash_changes_with_every_value_but_the_name(path: Path, toys: Registry) -> None:
    plain = load_experiment(path, registry=toys).hash
    assert load_experiment(path, ["name=other"], toys).hash == plain
    assert load_experiment(path, ["train.epochs=100"], toys).hash == plain, "the default"
    for override in ("train.seed=1", "modalities.first.size=5", "model.alpha=0"):
        assert load_experiment(path, [override], toys).hash != plain


def test_a_python_mapping_is_a_config_too(toys: Registry) -> None:
    table = {
        "data": {"source": "toybox", "root": Path("here")},
        "modalities": {"x": {"codec": "toy", "scale": None}},
        "train": {"betas": (0.5, 0.9)},
    }
    experiment = load_experiment(table, registry=toys).experiment
    assert experiment.data.root == "here"
    assert experiment.train.betas == (0.5, 0.9)
    assert experiment.name == "experiment"


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ("batch_size=2 accumulation=4", "accumulation <= batch_size"),
        ("momentum=0.9", "momentum = 0.9 has no effect"),
        ("warmup_epochs=2 warmup_steps=9", "β grows by steps or by epochs"),
        ("optimizer=sgd betas=[0.5,0.9]", "betas = .* has no effect"),
        ("final_learning_rate=1e-5", "final_learning_rate = 1e-05 has no effect"),
    ],
)
def test_keys_that_contradict_each_other_are_refused(path, toys, keys, message) -> None:
    overrides = [f"train.{key}" for key in keys.split()]
    with pytest.raises(ConfigError, match=message):
        load_experiment(path, overrides, toys)


@pytest.mark.parametrize(
    "key",
    [
        "epochs=0",
        "batch_size=0",
        "accumulation=0",
        "seed=-1",
        "learning_rate=0",
        "learning_rate=inf",
        "learning_rate=nan",
        "betas=[0.9, 1.0]",
        "betas=[0.9]",
        "eps=0",
        "momentum=1",
        "weight_decay=-1",
        "clip_norm=0",
        "clip_value=-1",
        "schedule_warmup_steps=-1",
        "final_learning_rate=-1",
        "warmup_epochs=-1",
        "ema=1",
        "ema=0",
        "precision=float8",
        "compile=1",
        "threads=0",
        "drop_last='no'",
        "validate_every=0",
        "monitor=loss",
        "patience=0",
        "checkpoint_every=0",
        "checkpoint_minutes=0",
        "keep_checkpoints=0",
        "log_every=0",
        "trackers=['wandb']",
        "epochs=1.5",
        "epochs='5'",
        "epochs=true",
    ],
)
def test_values_out_of_range_are_refused(path: Path, toys: Registry, key: str) -> None:
    name = key.split("=")[0]
    with pytest.raises(ConfigError, match=rf"^-s train\.{name}=.*: train\.{name}.*: expected "):
        load_experiment(path, [f"train.{key}"], toys)


def test_every_key_of_the_core_is_described(toys: Registry) -> None:
    def undescribed(schema: type[BaseModel]) -> list[str]:
        fields = schema.model_fields.items()
        return [f"{schema.__name__}.{name}" for name, field in fields if not field.description]

    experiment = load_experiment(
        {"data": {"source": "toybox", "root": "x"}, "modalities": {"m": {"codec": "toy"}}},
        registry=toys,
    ).experiment
    tables = [experiment, experiment.train, experiment.evaluate, experiment.data]
    assert not [name for table in tables for name in undescribed(type(table))]


def test_the_json_schema_covers_plugins(path: Path, toys: Registry) -> None:
    schema = json_schema(toys)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert set(schema["required"]) == {"data", "modalities"}
    assert not schema["additionalProperties"]
    toy = schema["$defs"]["ToyCodec"]
    assert toy["properties"]["codec"]["const"] == "toy"
    assert toy["properties"]["size"] == {
        "default": 4,
        "description": "Cells.",
        "minimum": 1,
        "title": "Size",
        "type": "integer",
    }
    assert toy["required"] == ["codec"]
    assert "kind" not in schema["$defs"]["JmvaeModel"].get("required", [])
    assert json.loads(json.dumps(schema)) == schema
    keys = {path[-1] for path in flatten(load_experiment(path, registry=toys).values)}
    assert keys <= {
        name
        for table in [schema, *schema["$defs"].values()]
        for name in table.get("properties", {})
    }


def test_there_is_a_schema_without_any_plugin() -> None:
    assert "train" in json_schema(Registry())["properties"]


def test_a_validator_sees_the_names_of_the_modalities(path: Path, toys: Registry) -> None:
    seen = []

    class Config(toys.find("model", "jmvae").Config):
        @field_validator("alpha")
        @classmethod
        def look(cls, value, info):
            seen.append(info.context["modalities"])
            raise ConfigError("alpha is not to my taste")

    model = type("Other", (toys.find("model", "jmvae"),), {"kind": "other", "Config": Config})
    registry = Registry.of(
        codecs=toys.kinds("codec").values(), sources=toys.kinds("source").values(), models=[model]
    )
    with pytest.raises(ConfigError, match=r"pair.toml: alpha is not to my taste"):
        load_experiment(path, ["model.kind=other", "model.alpha=1"], registry)
    assert seen == [["second", "first"]]


def test_an_extension_is_a_table_of_its_own_or_nothing_at_all() -> None:
    without, with_ = toy_registry(), nudge_registry()
    bare = load_experiment(toy_config(), registry=with_)
    assert bare.experiment.extensions == {}
    assert bare.values["nudge"] is None
    assert "nudge" not in bare.resolved_toml()
    assert bare.hash == load_experiment(toy_config(), registry=without).hash
    load_experiment(tomllib.loads(bare.resolved_toml()), registry=without)
    switched = load_experiment(toy_config() | {"nudge": {"modality": "v"}}, registry=with_)
    assert list(switched.experiment.extensions) == ["nudge"]
    assert set(choices(switched.experiment)) - set(choices(bare.experiment)) == {
        ("extension", "nudge")
    }
    assert switched.experiment.extensions["nudge"].rate == 0.5
    assert switched.hash != bare.hash
    again = load_experiment(tomllib.loads(switched.resolved_toml()), registry=with_)
    assert again.experiment == switched.experiment
    nudge = json_schema(with_)["$defs"]["NudgeExtension"]
    assert (nudge["required"], nudge["additionalProperties"]) == (["modality"], False)

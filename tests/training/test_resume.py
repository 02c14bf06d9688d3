"""Resuming is exact: a run that was stopped ends as the run that never was."""

from __future__ import annotations

import os
import signal

import pytest
from heard import Heard
from trainings import (
    Moment,
    assert_same_run,
    config,
    exit_code,
    forked,
    latest,
    losses,
    metrics,
    moments,
    resume,
    train,
)

from mmvae.foundations.errors import ConfigError
from mmvae.runs.run import Run

EVERYTHING = {
    "train": {
        "optimizer": "adamw",
        "weight_decay": 0.1,
        "ema": 0.9,
        "schedule": "cosine",
        "schedule_warmup_steps": 4,
        "clip_norm": 5.0,
        "clip_value": 0.5,
        "warmup_epochs": 3,
        "patience": 2,
        "checkpoint_every": 4,
    },
    "modalities": {
        "v": {"codec": "toy-noisy"},
        "w": {"codec": "toy-noisy", "weight": 2.0},
        "c": {"codec": "toy-class"},
    },
    "model": {"subsets": "all", "subsets_per_step": 2, "warmup": "all", "feature_dim": 4},
}

SETTINGS = {
    "plain": config(),
    "everything": config(**EVERYTHING),
    "streamed": config(**EVERYTHING, data={"source": "toy", "resident": False}),
    "drawn trunks": config(model={"subsets_per_step": 1}),
    "joint apart": config(model={"trunks": "joint-apart", "start_variance": 0.1}),
    "sgd": config(train={"optimizer": "sgd", "momentum": 0.9, "weight_decay": 0.01}),
    "bare sgd": config(train={"optimizer": "sgd", "learning_rate": 0.01}),
    "accumulated": config(train={"accumulation": 4, "schedule": "linear"}),
    "not validated": config(data={"source": "toy", "validation": 0}, train={"drop_last": True}),
}
STOPS = {
    "at once": [0],
    "after a step": [1],
    "inside an epoch": [3],
    "at an epoch's end": [5],
    "after an epoch's end": [6],
    "before the last step": [14],
    "at the last step": [15],
    "twice": [4, 10],
    "five times": [1, 4, 5, 9, 13],
}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Runs that were never stopped, by the name of their settings."""
    folders = {}

    def whole(name):
        if name not in folders:
            folders[name] = tmp_path_factory.mktemp("whole") / "run"
            assert train(folders[name], SETTINGS[name]).outcome == "finished"
        return folders[name]

    return whole


def stopped_and_resumed(folder, settings, stops):
    train(folder, settings, max_steps=stops[0])
    for stop in stops[1:]:
        resume(folder, max_steps=stop)
    assert latest(folder).step == stops[-1]
    assert resume(folder).outcome == "finished"


@pytest.mark.parametrize("stops", STOPS.values(), ids=STOPS)
@pytest.mark.parametrize("name", ["plain", "everything"])
def test_a_stopped_run_ends_as_one_that_was_not(name, stops, whole, tmp_path):
    stopped_and_resumed(tmp_path / "run", SETTINGS[name], stops)
    assert_same_run(tmp_path / "run", whole(name))


@pytest.mark.parametrize("name", [n for n in SETTINGS if n not in ("plain", "everything")])
def test_resuming_is_exact_with_any_settings(name, whole, tmp_path):
    stopped_and_resumed(tmp_path / "run", SETTINGS[name], [3, 7, 12])
    assert_same_run(tmp_path / "run", whole(name))


def test_streamed_and_resident_data_train_alike(whole):
    assert_same_run(whole("streamed"), whole("everything"))


def test_patience_is_remembered(tmp_path):
    settings = config(train={"epochs": 6, "learning_rate": 1e-30, "patience": 2})
    train(tmp_path / "whole", settings)
    assert latest(tmp_path / "whole").step == 15  # no better than the first, twice
    stopped_and_resumed(tmp_path / "run", settings, [7, 11])
    assert_same_run(tmp_path / "run", tmp_path / "whole")
    assert latest(tmp_path / "run").state["position"]["best_step"] == 5


def test_a_finished_run_goes_on_with_more_epochs(tmp_path):
    settings = {"warmup_epochs": 3, "ema": 0.9}
    train(tmp_path / "long", config(train={"epochs": 4, **settings}))
    train(tmp_path / "run", config(train={"epochs": 2, **settings}))
    assert Run.open(tmp_path / "run").status().state == "finished"
    resume(tmp_path / "run", overrides=["train.epochs=4"])
    assert_same_run(tmp_path / "run", tmp_path / "long")


def test_what_was_changed_stays_changed(tmp_path):
    train(tmp_path / "run", config(train={"epochs": 1}))
    resume(tmp_path / "run", overrides=["train.epochs=3"], max_steps=7)
    resume(tmp_path / "run")
    assert latest(tmp_path / "run").step == 15


def test_a_run_that_is_finished_is_left_as_it_is(tmp_path):
    train(tmp_path / "run", config())
    before = [path.name for path in (tmp_path / "run" / "checkpoints").iterdir()]
    assert resume(tmp_path / "run").outcome == "finished"
    assert [path.name for path in (tmp_path / "run" / "checkpoints").iterdir()] == before


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("model.alpha=1", "only train"),
        ("data.items=9", "only train"),
        ("train.batch_size=7", "order of items"),
        ("train.seed=1", "order of items"),
        ("train.drop_last=true", "order of items"),
        ("train.optimizer='sgd'", "adam or adamw"),
        ("train.ema=0.9", "without a running mean"),
    ],
)
def test_what_would_make_it_another_run_is_refused(override, message, tmp_path):
    train(tmp_path / "run", config(), max_steps=3)
    before = (tmp_path / "run" / "config.resolved.toml").read_bytes()
    with pytest.raises(ConfigError, match=message) as refused:
        resume(tmp_path / "run", overrides=[override])
    assert override.partition("=")[0] in str(refused.value)
    assert (tmp_path / "run" / "config.resolved.toml").read_bytes() == before
    resume(tmp_path / "run")


def test_accumulation_may_change_and_changes_next_to_nothing(tmp_path):
    plain = {"v": {"codec": "toy-vector"}, "c": {"codec": "toy-class"}}
    train(tmp_path / "whole", config(modalities=plain))
    train(tmp_path / "run", config(modalities=plain), max_steps=4)
    resume(tmp_path / "run", overrides=["train.accumulation=3"])
    assert losses(tmp_path / "run") == pytest.approx(losses(tmp_path / "whole"), rel=1e-5)


def test_metrics_after_the_checkpoint_are_forgotten(tmp_path):
    train(tmp_path / "whole", config())
    train(tmp_path / "run", config(), max_steps=8)
    with (tmp_path / "run" / "metrics.jsonl").open("a") as file:
        file.write('{"step": 10, "split": "train", "loss": 1.0}\n{"step": 12, "spl')
    resume(tmp_path / "run")
    assert metrics(tmp_path / "run") == metrics(tmp_path / "whole")


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_run_killed_on_its_way_from_an_earlier_checkpoint_goes_on_from_there(tmp_path):
    settings, plugins = moments(Moment(0, None), train={"checkpoint_every": 4})
    train(tmp_path / "whole", settings, registry=plugins)
    train(tmp_path / "run", settings, registry=plugins, max_steps=12)
    kill = moments(Moment(3, lambda x: os.kill(os.getpid(), signal.SIGKILL), resumed=True))[1]
    child = forked(
        lambda: resume(tmp_path / "run", checkpoint="step-00000008", registry=kill, max_steps=11)
    )
    assert exit_code(child) == -signal.SIGKILL
    assert latest(tmp_path / "run").step == 8
    resume(tmp_path / "run", registry=plugins)
    assert_same_run(tmp_path / "run", tmp_path / "whole")


def test_an_earlier_checkpoint_that_does_not_fit_leaves_the_latest(tmp_path):
    train(tmp_path / "run", config(train={"checkpoint_every": 4}), max_steps=8)
    with pytest.raises(ConfigError, match="running mean"):
        resume(tmp_path / "run", checkpoint="step-00000004", overrides=["train.ema=0.9"])
    assert latest(tmp_path / "run").step == 8


def test_a_run_that_stopped_early_says_why_more_epochs_change_nothing(tmp_path):
    train(tmp_path / "run", config(train={"epochs": 6, "learning_rate": 1e-30, "patience": 2}))
    heard = Heard()
    result = resume(tmp_path / "run", overrides=["train.epochs=9"], progress=heard)
    assert (result.outcome, result.steps) == ("finished", 15)
    (line,) = [line for line in heard.lines if line.startswith("stopped early")]
    assert "the best was" in line
    assert "-s train.patience=4" in line
    assert resume(tmp_path / "run", overrides=["train.patience=4"], max_steps=18).steps == 18

"""Observers see a training at set moments and change nothing in it."""

from __future__ import annotations

import pytest
import torch
from toys import toy_config, toy_registry
from trainings import metrics

import mmvae
from mmvae.evaluation.latent import LatentKL
from mmvae.experiments.train import dry_run
from mmvae.foundations.errors import ConfigError, PluginError, TrainingError
from mmvae.plugins.registry import Registry

CALLS: list[tuple[str, int, int]] = []


class Diary(mmvae.Observer):
    """Writes down when it is called, and draws from the global random state."""

    kind = "diary"

    def begin(self, watched):
        CALLS.append(("begin", watched.epoch, watched.step))

    def look(self, watched):
        CALLS.append(("look", watched.epoch, watched.step))
        assert not watched.model.training
        return {"diary/draw": (float(torch.rand(())), 0.5), "diary/epoch": (watched.epoch, None)}

    def end(self, watched):
        CALLS.append(("end", watched.epoch, watched.step))


class Choosy(mmvae.Observer):
    """It refuses to look on, in one way or another."""

    kind = "choosy"
    error: Exception = ConfigError("observers.m: not this model")

    def begin(self, watched):
        (watched.folder / "begun.txt").write_text("a file of its own")
        raise self.error


class Meddler(mmvae.Observer):
    kind = "meddler"

    def look(self, watched):
        with torch.no_grad():
            next(watched.model.parameters()).add_(1)
        return {}


class Clumsy(mmvae.Observer):
    kind = "clumsy"
    found = None

    def look(self, watched):
        return self.found if self.found is not None else {}["nothing"]


KNOWN = toy_registry()
REGISTRY = Registry.of(
    codecs=KNOWN.kinds("codec").values(),
    sources=KNOWN.kinds("source").values(),
    models=KNOWN.kinds("model").values(),
    metrics=[LatentKL],
    observers=[Diary, Choosy, Meddler, Clumsy],
)


def config(epochs=3, **tables):
    return toy_config(train={"epochs": epochs, "checkpoint_every": 1}) | tables


WATCHED = {
    "observers": {"diary": {"kind": "diary", "every": 2}},
    "metrics": {"kl": {"kind": "latent", "every": 1}},
}


def train(folder, settings, **how):
    return mmvae.train(settings, run_dir=folder, registry=REGISTRY, **how)


def observed(folder):
    return [r for r in metrics(folder) if r["split"] == "observed"]


def test_it_is_called_at_the_begin_every_so_many_epochs_at_the_last_and_at_the_end(tmp_path):
    CALLS.clear()
    train(tmp_path / "run", config(**WATCHED))
    wanted = [("begin", 0, 0), ("look", 2, 6), ("look", 3, 9), ("end", 3, 9)]
    assert wanted == CALLS
    found = observed(tmp_path / "run")
    assert [r["epoch"] for r in found] == [1, 2, 3]
    assert found[1]["errors"]["diary/draw"] == 0.5
    assert "diary/epoch" not in found[1]["errors"]
    assert found[0].keys() >= {"kl/largest KL of a dimension", "errors"}
    assert "diary/draw" not in found[0]


def test_the_training_is_the_same_bit_for_bit(tmp_path):
    watched = train(tmp_path / "watched", config(**WATCHED)).model.model.state_dict()
    alone = train(tmp_path / "alone", config()).model.model.state_dict()
    assert all(torch.equal(value, watched[name]) for name, value in alone.items())


def test_a_resumed_run_is_observed_as_one_that_was_not_stopped(tmp_path):
    train(tmp_path / "whole", config(**WATCHED))
    train(tmp_path / "parts", config(**WATCHED), max_steps=4)
    mmvae.resume(tmp_path / "parts", registry=REGISTRY)
    assert observed(tmp_path / "parts") == observed(tmp_path / "whole")


def test_one_that_changes_a_weight_is_named(tmp_path):
    with pytest.raises(TrainingError, match=r"observers\.m: the observer 'meddler' changed"):
        train(tmp_path / "run", config(observers={"m": {"kind": "meddler"}}))


@pytest.mark.parametrize(
    ("found", "says"),
    [
        (None, r"failed in look: KeyError: 'nothing'\."),
        (3.5, r"returned 3\.5 from look; expected a mapping of names to \(value, standard"),
        ({"a": (1.0, None), "b": 2.0}, r"returned 'b': 2\.0 from look; expected"),
        ({"a": (torch.zeros(2), None)}, r"returned 'a': \(tensor.* from look; expected"),
    ],
)
def test_one_that_fails_is_named(tmp_path, monkeypatch, found, says):
    monkeypatch.setattr(Clumsy, "found", found)
    with pytest.raises(PluginError, match=rf"observers\.m: the observer 'clumsy' {says}"):
        train(tmp_path / "run", config(observers={"m": {"kind": "clumsy"}}))


@pytest.mark.parametrize("error", [KeyboardInterrupt, mmvae.UsageError])
def test_errors_for_the_user_pass_an_observer_as_they_are(tmp_path, monkeypatch, error):
    def look(self, watched):
        raise error("mine")

    monkeypatch.setattr(Clumsy, "look", look)
    with pytest.raises(error, match="^mine$"):
        train(tmp_path / "run", config(observers={"m": {"kind": "clumsy"}}))


def test_a_metric_that_cannot_be_measured_meanwhile_is_refused(tmp_path):
    settings = config(**WATCHED) | {"data": {"source": "toy", "validation": 0}}
    with pytest.raises(ConfigError, match=r"metrics\.kl\.every = 1: .*no validation split"):
        train(tmp_path / "run", settings)


@pytest.mark.parametrize("every", [{}, {"every": 1}])
def test_a_metric_that_refuses_the_codecs_keeps_the_training_from_its_start(
    tmp_path, monkeypatch, every
):
    """Its evaluation would refuse it after hours; so the training does, and leaves no run."""

    def check(metric, codecs):
        raise ConfigError(f"not of {', '.join(codecs)}")

    monkeypatch.setattr(LatentKL, "check", check)
    settings = config(metrics={"kl": {"kind": "latent"} | every})
    with pytest.raises(ConfigError, match=r"^metrics\.kl: not of \w+, "):
        train(tmp_path / "run", settings)
    assert not (tmp_path / "run").exists()
    with pytest.raises(ConfigError, match=r"^metrics\.kl: not of"):
        dry_run(settings, registry=REGISTRY)


def test_the_run_names_the_plugins(tmp_path):
    train(tmp_path / "run", config(**WATCHED))
    lock = (tmp_path / "run" / "plugins.lock.json").read_text()
    assert '"observer diary"' in lock
    assert '"metric latent"' in lock


@pytest.mark.parametrize("error", [ConfigError("not this model"), KeyError("a mistake")])
def test_what_keeps_a_training_from_its_first_step_leaves_no_run(tmp_path, monkeypatch, error):
    monkeypatch.setattr(Choosy, "error", error)
    with pytest.raises((ConfigError, PluginError), match="not this model|KeyError: 'a mistake'"):
        mmvae.train(
            toy_config(observers={"m": {"kind": "choosy"}}),
            run_dir=tmp_path / "run",
            registry=REGISTRY,
        )
    assert not (tmp_path / "run").exists()
    result = mmvae.train(toy_config(), run_dir=tmp_path / "run", registry=REGISTRY, max_steps=1)
    assert result.steps == 1


def test_a_refusal_leaves_what_was_trained_before(tmp_path, monkeypatch):
    config = toy_config(observers={"m": {"kind": "choosy"}})
    with monkeypatch.context() as patch:
        patch.setattr(Choosy, "begin", lambda observer, watched: None)
        mmvae.train(config, run_dir=tmp_path / "run", registry=REGISTRY, max_steps=1)
    with pytest.raises(ConfigError, match="not this model"):
        mmvae.resume(tmp_path / "run", registry=REGISTRY)
    monkeypatch.setattr(Choosy, "begin", lambda observer, watched: None)
    assert mmvae.resume(tmp_path / "run", registry=REGISTRY).outcome == "finished"

"""The loop's promises within one process: its arithmetic, its stops, and what it leaves alone."""

from __future__ import annotations

import json
import pickle

import pytest
import torch
from accelerate.state import PartialState
from heard import Heard
from torch import Tensor, nn
from toys import VectorCodec, toy_items
from trainings import (
    Moment,
    assert_same_tensors,
    config,
    latest,
    losses,
    metrics,
    moments,
    registry,
    resume,
    train,
)

import mmvae
from mmvae.data.batches import training_view
from mmvae.data.sampler import Order
from mmvae.experiments.build import build_model, make_accelerator, open_experiment_data
from mmvae.experiments.config import load_experiment
from mmvae.foundations.errors import CheckpointError, ConfigError, RunError, TrainingError
from mmvae.foundations.progress import Progress
from mmvae.foundations.randomness import StepDraws
from mmvae.runs.checkpoint_store import CheckpointStore
from mmvae.runs.metrics_log import read_metrics
from mmvae.runs.run import Run
from mmvae.training.config import TrainConfig
from mmvae.training.step import Stepper, unchecked_distributions
from mmvae.training.trainer import Trainer

PLAIN = {"v": {"codec": "toy-vector"}, "c": {"codec": "toy-class"}}


def opened(folder, settings):
    """The steps of a training without a run, and its validation split."""
    experiment = load_experiment(settings, (), registry()).experiment
    accelerator = make_accelerator(experiment.train, folder)
    data = open_experiment_data(experiment, registry(), None, accelerator)
    model = build_model(experiment, registry(), data.codecs)
    steps = Stepper(model, data.batches("train"), experiment.train, accelerator)
    return steps, data.batches("validation")


def stepper(folder, settings):
    """The steps of a training without a run."""
    return opened(folder, settings)[0]


def trainer(folder, settings):
    """A trainer that keeps nothing."""
    return Trainer(*opened(folder, settings), None, Progress(), keeps=False)


def weights_of(module):
    return {name: value.clone() for name, value in module.state_dict().items()}


def assert_close(ours, theirs, **tolerances):
    for name, value in theirs.items():
        torch.testing.assert_close(
            ours[name], value, msg=lambda m, n=name: f"{n}: {m}", **tolerances
        )


# --- arithmetic


def test_a_step_is_what_torch_does_by_hand(tmp_path):
    """Gradient of the mean loss over the batch; clipped by norm, then by value; torch's AdamW."""
    clipping = {"clip_norm": 0.5, "clip_value": 0.05}
    options = {"optimizer": "adamw", "weight_decay": 0.1, "learning_rate": 0.01}
    ours = stepper(tmp_path, config(modalities=PLAIN, train=clipping | options))
    hand = stepper(tmp_path, config(modalities=PLAIN))
    model = hand.model.train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01, weight_decay=0.1)
    order = Order(60, 14, 0)
    for step in range(7):
        ours.step(step)
        items = order.items(step)
        draws = StepDraws(0, "train", step, slice(0, len(items)), len(items))
        optimizer.zero_grad()
        batch = hand.train.batch(items, draws, training_view)
        model.objective("jmvae", batch, draws, 1.0).loss.mean().backward()
        norm = nn.utils.clip_grad_norm_(model.parameters(), 0.5)
        nn.utils.clip_grad_value_(model.parameters(), 0.05)
        assert norm > 0.5  # so that clipping does something
        optimizer.step()
    assert_close(weights_of(ours.model), weights_of(model), rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("parts", [2, 4, 14])
def test_accumulation_gives_the_gradient_of_the_whole_batch(parts, tmp_path):
    whole = stepper(tmp_path, config(modalities=PLAIN))
    cut = stepper(tmp_path, config(modalities=PLAIN, train={"accumulation": parts}))
    for each in (whole, cut):
        each.gradients(4, each.phases[0], each.order.items(4), 1.0)  # the smaller last batch
    gradients = [
        torch.cat([p.grad.flatten() for p in each.model.parameters()]) for each in (whole, cut)
    ]
    assert (gradients[0] - gradients[1]).norm() < 1e-6 * gradients[0].norm()
    assert whole.state.terms.stacked().shape == cut.state.terms.stacked().shape
    torch.testing.assert_close(
        cut.state.terms.stacked(), whole.state.terms.stacked(), rtol=1e-6, atol=1e-6
    )


def test_the_running_mean_of_the_weights_by_hand(tmp_path):
    ours = stepper(tmp_path, config(train={"ema": 0.3}))
    mean = weights_of(ours.model)
    for step, d in enumerate([0.0, 1 / 10, 2 / 11, 3 / 12, 0.3, 0.3]):
        ours.step(step)
        mean = {k: d * mean[k] + (1 - d) * v for k, v in ours.model.state_dict().items()}
    assert_close(ours.state.average.model.state_dict(), mean)
    assert_close(ours.state.weights(), mean)


def test_the_rate_and_warm_up_reach_the_step(tmp_path):
    settings = {"schedule": "linear", "warmup_epochs": 3, "learning_rate": 0.1, "log_every": 1}
    train(tmp_path / "run", config(train=settings))
    records = [r for r in metrics(tmp_path / "run") if r["split"] == "train"]
    assert [r["beta"] for r in records] == [0.0] * 5 + [0.5] * 5 + [1.0] * 5
    assert [r["learning_rate"] for r in records] == pytest.approx(
        [0.1 * (1 - i / 14) for i in range(15)]
    )
    assert [r["epoch"] for r in records] == [1] * 5 + [2] * 5 + [3] * 5


def test_a_warm_up_by_steps_reaches_the_step(tmp_path):
    settings = {"epochs": 1, "warmup_steps": 4, "log_every": 1}
    train(tmp_path / "run", config(train=settings))
    records = [r for r in metrics(tmp_path / "run") if r["split"] == "train"]
    assert [r["beta"] for r in records] == [0.25, 0.5, 0.75, 1, 1]


def test_phases_update_their_own_weights_in_turn(tmp_path, monkeypatch):
    """A second phase sees the first one's update; each has optimizer and terms of its own."""
    from mmvae.models.jmvae import JMVAE
    from mmvae.models.phase import Phase, Terms

    decoders = [f"decoders.{m}" for m in "vc"]
    seen = []

    def phases(self):
        mine = [p for n, p in self.named_parameters() if n.startswith(tuple(decoders))]
        rest = [p for n, p in self.named_parameters() if not n.startswith(tuple(decoders))]
        return [Phase("decoders", mine), Phase("encoders", rest)]

    objective = JMVAE.objective

    def spied(self, phase, batch, draws, weight):
        if self.training:
            seen.append((phase, weights_of(self)))
        terms = objective(self, phase, batch, draws, weight)
        return Terms(terms.loss, {"kl": terms.named["kl"]}) if phase == "decoders" else terms

    monkeypatch.setattr(JMVAE, "phases", phases)
    monkeypatch.setattr(JMVAE, "objective", spied)
    settings = config(train={"monitor": "objective"})
    train(tmp_path / "whole", settings)
    assert [phase for phase, _ in seen[:3]] == ["decoders", "encoders", "decoders"]
    for (_, before), (_, after), moving in zip(seen[:2], seen[1:3], (True, False), strict=True):
        changed = {name for name in before if not torch.equal(before[name], after[name])}
        assert {name.startswith("decoders") for name in changed} == {moving}
    record = metrics(tmp_path / "whole")[0]
    assert {"loss", "kl", "encoders/loss", "encoders/elbo"} <= record.keys()
    train(tmp_path / "run", settings, max_steps=8)
    resume(tmp_path / "run")
    assert_same_tensors(latest(tmp_path / "run"), latest(tmp_path / "whole"))
    assert {"optimizer-decoders", "optimizer-encoders"} <= latest(tmp_path / "run").tensors.keys()


# --- stops


def test_max_seconds_stops_and_says_how_to_go_on(tmp_path):
    said = []

    class Spy(Progress):
        def say(self, line):
            said.append(line)

    result = train(
        tmp_path / "run", config(train={"epochs": 9999}), max_seconds=0.3, progress=Spy()
    )
    assert result.outcome == "stopped"
    assert 0 < result.steps < 9999 * 5
    assert latest(tmp_path / "run").step == result.steps
    status = Run.open(tmp_path / "run").status()
    assert (status.state, status.exit_code, status.step) == ("stopped", 0, result.steps)
    assert said[-1].endswith(f"mmvae resume {tmp_path / 'run'}")


@pytest.mark.parametrize(("batch_size", "said"), [(60, False), (61, True)])
def test_a_split_shorter_than_a_batch_is_told_of(batch_size, said, tmp_path):
    heard = Heard()
    train(tmp_path / "run", config(train={"batch_size": batch_size}), progress=heard, max_steps=1)
    line = "the 60 training items are fewer than a batch of train.batch_size = 61"
    assert any(line in told for told in heard.lines) is said


def test_patience_stops_and_the_best_weights_are_kept(tmp_path):
    """With a step far too large, the first validation is better than the later ones."""
    settings = config(
        modalities=PLAIN, train={"epochs": 20, "patience": 3, "learning_rate": 1.0, "seed": 1}
    )
    result = train(tmp_path / "run", settings)
    records = [r for r in metrics(tmp_path / "run") if r["split"] == "validation"]
    best = max(records, key=lambda r: r["objective"])
    assert result.outcome == "finished"
    assert result.steps == best["step"] + 3 * 5 < 100
    train(tmp_path / "short", settings, max_steps=best["step"])
    expected = latest(tmp_path / "short").tensors["model"]
    for found in (
        latest(tmp_path / "run").tensors["best"],
        result.model.model.state_dict(),
        mmvae.inference.model_folder.load_model(tmp_path / "run", registry()).model.state_dict(),
    ):
        assert found.keys() == expected.keys()
        assert all(torch.equal(found[name], value) for name, value in expected.items())


@pytest.mark.parametrize(
    "warmup", [{"warmup_epochs": 6}, {"warmup_steps": 26}, {"schedule_warmup_steps": 26}]
)
def test_patience_waits_for_the_end_of_a_warm_up(warmup, tmp_path, monkeypatch):
    """Validations get worse from the first on; those of epochs 1 to 5 are still of a warm-up."""
    told = iter({"objective": -float(i)} for i in range(20))
    monkeypatch.setattr("mmvae.training.trainer.validate", lambda *_, **__: next(told))
    result = train(tmp_path / "run", config(train={"epochs": 20, "patience": 2, **warmup}))
    assert result.steps == (5 + 2) * 5
    position = latest(tmp_path / "run").state["position"]
    assert (position["best_step"], position["waiting"]) == (5, 2)  # best weights may be of it


def test_a_run_that_lost_patience_in_a_warm_up_goes_on(tmp_path):
    """As one that began when those validations counted did."""
    settings = config(train={"epochs": 6, "patience": 1, "warmup_epochs": 6})
    ours = trainer(tmp_path, settings)
    ours.state.position.waiting = 3
    ours.fit()
    assert ours.state.position.step == 30


# --- beginning with another run's weights


def test_init_from_begins_with_the_other_runs_weights(tmp_path):
    first = train(tmp_path / "first", config(), max_steps=5)
    begun = train(
        tmp_path / "run", config(train={"seed": 7}), init_from=tmp_path / "first", max_steps=0
    )
    for name, value in first.model.model.state_dict().items():
        assert torch.equal(begun.model.model.state_dict()[name], value)
    assert begun.steps == 0


def test_a_run_killed_before_its_first_checkpoint_begins_there_again(tmp_path):
    train(tmp_path / "first", config(), max_steps=5)
    train(tmp_path / "whole", config(train={"seed": 7}), init_from=tmp_path / "first")
    train(tmp_path / "run", config(train={"seed": 7}), init_from=tmp_path / "first", max_steps=0)
    for path in (tmp_path / "run" / "checkpoints").iterdir():
        for file in path.iterdir():
            file.unlink()
        path.rmdir()
    (tmp_path / "run" / "latest").unlink()
    resume(tmp_path / "run")
    assert_same_tensors(latest(tmp_path / "run"), latest(tmp_path / "whole"))


def test_init_from_another_model_is_refused(tmp_path):
    train(tmp_path / "first", config(), max_steps=1)
    wider = config(model={"latent_dim": 3})
    with pytest.raises(
        CheckpointError,
        match=r"first: weight .* expects .* \[model\] that differ: latent_dim = 2, here 3\.",
    ):
        train(tmp_path / "run", wider, init_from=tmp_path / "first")
    with pytest.raises(RunError, match="no run folder"):
        train(tmp_path / "run", config(), init_from=tmp_path / "nowhere")
    assert not (tmp_path / "run").exists()


# --- what must not happen


def test_a_nan_names_term_and_step_and_spoils_no_checkpoint(tmp_path):
    settings, plugins = moments(Moment(9, lambda x: x * torch.nan), train={"checkpoint_every": 1})
    said = []

    class Spy(Progress):
        def say(self, line):
            said.append(line)

    with pytest.raises(TrainingError, match=r"^log_likelihood/v became nan at step 9;") as failed:
        train(tmp_path / "run", settings, registry=plugins, progress=Spy())
    assert failed.value.exit_code == 1
    saved = CheckpointStore(tmp_path / "run" / "checkpoints").intact()
    assert [path.name for path in saved] == ["step-00000007", "step-00000008"]
    assert said[-1] == "saved step 8"
    status = Run.open(tmp_path / "run").status()
    assert (status.state, status.exit_code) == ("failed", 1)
    assert "log_likelihood/v became nan" in status.message
    assert "NaN" not in (tmp_path / "run" / "metrics.jsonl").read_text()


def test_a_nan_between_records_is_found_before_saving(tmp_path):
    settings, plugins = moments(Moment(7, lambda x: x * torch.nan), train={"log_every": 100})
    with pytest.raises(TrainingError, match="nan at step 7"):
        train(tmp_path / "run", settings, registry=plugins, max_steps=8)
    assert not (tmp_path / "run" / "latest").exists()


def test_a_nan_in_the_weights_alone_is_found_before_saving(tmp_path, monkeypatch):
    train(tmp_path / "run", config(), max_steps=5)
    step = Stepper.step

    def poisoned(self, number):
        step(self, number)
        with torch.no_grad():
            next(self.model.parameters()).view(-1)[0] = torch.nan

    with monkeypatch.context() as patch:
        patch.setattr(Stepper, "step", poisoned)
        with pytest.raises(TrainingError, match=r"^model/\S+ is not finite after step 6;"):
            resume(tmp_path / "run", max_steps=6)
    assert latest(tmp_path / "run").step == 5
    resume(tmp_path / "run")
    assert losses(tmp_path / "run")


def test_a_nan_in_the_validation_is_told_as_such(tmp_path, monkeypatch):
    monkeypatch.setattr(VectorCodec, "fixed", lambda self, x, generator: x * torch.nan)
    with pytest.raises(TrainingError, match="nan in the validation after step 5;"):
        train(tmp_path / "run", config())


@pytest.mark.parametrize("seed", [5, 6])
def test_the_callers_random_numbers_are_left_alone(seed, tmp_path):
    torch.manual_seed(seed)
    expected = torch.rand(3)
    torch.manual_seed(seed)
    train(tmp_path / "run", config(train={"epochs": 1}), max_steps=3)
    resume(tmp_path / "run")
    assert torch.equal(torch.rand(3), expected)


def test_a_step_never_waits_for_the_device(tmp_path, monkeypatch):
    """No number is asked of a tensor between two records."""
    train_settings = {"clip_norm": 1.0, "clip_value": 0.5, "ema": 0.9, "weight_decay": 0.1}
    ours = trainer(tmp_path, config(train=train_settings | {"epochs": 9}))
    ours.order.items(0)  # the order of an epoch is drawn on the host
    asked = []
    for name in ("item", "tolist", "numpy", "cpu", "__float__", "__int__", "__bool__", "nonzero"):
        original = getattr(Tensor, name)

        def spied(self, *arguments, original=original, name=name):
            asked.append(name)
            return original(self, *arguments)

        monkeypatch.setattr(Tensor, name, spied)
    with unchecked_distributions():
        for step in range(5):
            ours.stepper.step(step)
    assert asked == []
    ours.state.position.step = 5
    ours.log(5)
    assert asked  # the spies see


def test_nothing_is_pickled(tmp_path, monkeypatch):
    def refuse(*arguments, **options):
        raise AssertionError("pickle")

    for module, name in (
        (pickle, "Unpickler"), (pickle, "Pickler"), (pickle, "load"), (pickle, "loads"),
        (pickle, "dump"), (pickle, "dumps"), (torch, "load"), (torch, "save"),
    ):  # fmt: skip
        monkeypatch.setattr(module, name, refuse)
    train(tmp_path / "run", config(train={"ema": 0.9}), max_steps=7)
    resume(tmp_path / "run")
    mmvae.inference.model_folder.load_model(tmp_path / "run", registry())


def test_data_in_memory_train_like_the_same_in_a_source(tmp_path):
    columns = toy_items(100)
    cut = {"train": slice(0, 60), "validation": slice(60, 80)}
    names = ("red", "green", "blue")
    data = {
        split: {"v": columns["v"][rows], "c": [names[code] for code in columns["c"][rows]]}
        for split, rows in cut.items()
    }
    settings = {k: v for k, v in config().items() if k != "data"}
    train(tmp_path / "memory", settings, data=data)
    train(tmp_path / "source", config())
    assert metrics(tmp_path / "memory") == metrics(tmp_path / "source")


# --- trackers and precision


def test_tensorboard_writes_into_the_run(tmp_path):
    pytest.importorskip("tensorboard", reason="pip install 'mmvae[tensorboard]' to test it")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    train(tmp_path / "run", config(train={"trackers": ["tensorboard"]}))
    events = EventAccumulator(str(tmp_path / "run" / "tensorboard")).Reload()
    points = [(e.step, e.value) for e in events.Scalars("train/loss")]
    records = [r for r in metrics(tmp_path / "run") if r["split"] == "train"]
    assert [step for step, _ in points] == [r["step"] for r in records]
    assert [v for _, v in points] == pytest.approx([r["loss"] for r in records], rel=1e-6)
    assert events.Scalars("validation/elbo")


def test_a_missing_tracker_is_named_before_anything_is_made(tmp_path, monkeypatch):
    monkeypatch.setattr("mmvae.experiments.build.is_tensorboard_available", lambda: False)
    with pytest.raises(ConfigError, match=r"train.trackers .*pip install 'mmvae\[tensorboard\]'"):
        train(tmp_path / "run", config(train={"trackers": ["tensorboard"]}))
    assert not (tmp_path / "run").exists()


def test_the_kl_is_float32_in_bfloat16(tmp_path, monkeypatch):
    from mmvae.experiments import session
    from mmvae.models import jmvae

    seen = []
    divergence = jmvae.kl_divergence

    def spied(q, p):
        seen.append((torch.is_autocast_enabled("cpu"), q.mean.dtype, p.log_variance.dtype))
        nats = divergence(q, p)
        seen.append((torch.is_autocast_enabled("cpu"), nats.dtype, nats.dtype))
        return nats

    class Spy(VectorCodec):
        kind = "toy-spy"

        def likelihood(self, parameters):
            inner.append(parameters.dtype)
            return super().likelihood(parameters)

        def decoder(self, input_dim):
            network = super().decoder(input_dim)
            if input_dim == latent_dim:  # a rehearsal's is another
                network.register_forward_hook(lambda module, inputs, out: outer.append(out.dtype))
            return network

    inner, outer, latent_dim = [], [], config()["model"]["latent_dim"]
    monkeypatch.setattr(jmvae, "kl_divergence", spied)
    monkeypatch.setattr(session, "diverged", lambda *given: None)  # it is outside of autocast
    modalities = {"v": {"codec": "toy-spy"}, "c": {"codec": "toy-class"}}
    for fusion in ("dense", "linear"):
        settings = config(
            modalities=modalities, model={"fusion": fusion}, train={"precision": "bfloat16"}
        )
        train(tmp_path / fusion, settings, registry=registry(Spy), max_steps=2)
    assert set(seen) == {(True, torch.float32, torch.float32)}
    assert set(inner) == {torch.float32}
    assert set(outer) == {torch.bfloat16}  # so that autocast was on where it should be
    assert {v.dtype for v in latest(tmp_path / "dense").tensors["model"].values()} == {
        torch.float32
    }


def test_float16_is_no_precision(tmp_path):
    with pytest.raises(ConfigError, match="'float32' or 'bfloat16'"):
        train(tmp_path / "run", config(train={"precision": "float16"}))
    assert not (tmp_path / "run").exists()


def test_the_device_is_chosen_anew_for_each_training(tmp_path):
    make_accelerator(TrainConfig())
    PartialState._shared_state["device"] = torch.device("meta")  # as if that were a GPU
    assert make_accelerator(TrainConfig(device="cpu")).device == torch.device("cpu")


def test_env_tells_what_the_run_was_made_of(tmp_path):
    train(tmp_path / "run", config(), max_steps=1)
    env = json.loads((tmp_path / "run" / "env.json").read_text())
    assert env["data"]["items"] == {"train": 60, "validation": 20, "test": 20}
    assert "init_from" not in env
    assert [r["step"] for r in read_metrics(tmp_path / "run" / "metrics.jsonl")] == []


def test_the_status_follows_the_training(tmp_path, monkeypatch):
    monkeypatch.setattr("mmvae.training.running_status.PAUSE_S", 0.0)
    seen: list[tuple[str, int, int]] = []

    class Watching(Progress):
        def record(self, record, total_steps, seconds_left):
            status = Run.open(tmp_path / "run").status()
            seen.append((status.state, record["step"], status.step))

    train(tmp_path / "run", config(), progress=Watching())
    assert {state for state, _, _ in seen} == {"running"}
    behind = [record - status for _, record, status in seen]
    assert max(behind) <= 2  # at most the record before, two steps ago
    assert seen[-1][2] == 15

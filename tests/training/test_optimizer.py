"""Optimizers do what torch's own do, and come back from what was saved of them."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from mmvae.foundations.errors import CheckpointError, ConfigError
from mmvae.training.config import TrainConfig
from mmvae.training.optimizer import build_optimizer, optimizer_tensors, restore_optimizer

SETTINGS = [
    {"optimizer": "sgd"},
    {"optimizer": "sgd", "momentum": 0.9, "weight_decay": 0.1},
    {"optimizer": "adam", "eps": 1e-4, "betas": (0.5, 0.9)},
    {"optimizer": "adam", "weight_decay": 0.1},
    {"optimizer": "adamw", "weight_decay": 0.1},
]


def weights():
    torch.manual_seed(0)
    return [nn.Parameter(torch.randn(3, 2)), nn.Parameter(torch.randn(3))]


def steps(optimizer, parameters, seeds):
    for seed in seeds:
        draws = torch.Generator().manual_seed(seed)
        for p in parameters:
            p.grad = torch.randn(p.shape, generator=draws)
        optimizer.step()


@pytest.fixture(autouse=True)
def _seeds():
    with torch.random.fork_rng(devices=[]):
        yield


@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_adam_adds_the_decay_to_the_gradient_and_adamw_takes_it_from_the_weights(decay):
    """One step from zero moments moves by -lr · g / (|g| + eps), whatever the gradient's size."""
    rate, eps = 0.01, 1e-8
    for name in ("adam", "adamw"):
        config = TrainConfig(optimizer=name, learning_rate=rate, weight_decay=decay, eps=eps)
        parameters = weights()
        before = [p.detach().clone() for p in parameters]
        steps(build_optimizer(parameters, config), parameters, [1])
        for old, new in zip(before, parameters, strict=True):
            g = new.grad + decay * old if name == "adam" else new.grad
            shrunk = old if name == "adam" else old * (1 - rate * decay)
            torch.testing.assert_close(new.detach(), shrunk - rate * g / (g.abs() + eps))


def test_sgd_with_momentum_and_decay_by_hand():
    config = TrainConfig(optimizer="sgd", momentum=0.9, weight_decay=0.1, learning_rate=0.5)
    parameters = weights()
    w, velocity = parameters[0].detach().clone(), 0.0
    optimizer = build_optimizer(parameters, config)
    for seed in (1, 2):
        steps(optimizer, parameters, [seed])
        velocity = 0.9 * velocity + parameters[0].grad + 0.1 * w
        w = w - 0.5 * velocity
    torch.testing.assert_close(parameters[0].detach(), w)


@pytest.mark.parametrize("settings", SETTINGS)
def test_a_restored_optimizer_goes_on_exactly(settings):
    config = TrainConfig(**settings)
    whole = weights()
    steps(build_optimizer(whole, config), whole, [1, 2, 3, 4])
    begun = weights()
    optimizer = build_optimizer(begun, config)
    steps(optimizer, begun, [1, 2])
    saved = {name: value.clone() for name, value in optimizer_tensors(optimizer).items()}
    fresh = build_optimizer(begun, config)
    restore_optimizer(fresh, saved)
    steps(fresh, begun, [3, 4])
    for one, other in zip(begun, whole, strict=True):
        assert torch.equal(one, other)
    assert fresh.param_groups[0]["lr"] == config.learning_rate


def test_adam_and_adamw_share_their_state():
    parameters = weights()
    adam = build_optimizer(parameters, TrainConfig(optimizer="adam"))
    steps(adam, parameters, [1])
    restore_optimizer(
        build_optimizer(parameters, TrainConfig(optimizer="adamw")), optimizer_tensors(adam)
    )


@pytest.mark.parametrize(("one", "other"), [("adam", "sgd"), ("sgd", "adam")])
def test_another_optimizers_state_is_refused(one, other):
    parameters = weights()
    momentum = {"momentum": 0.9} if one == "sgd" else {}
    saved = build_optimizer(parameters, TrainConfig(optimizer=one, **momentum))
    steps(saved, parameters, [1])
    with pytest.raises(ConfigError, match=f"train.optimizer = '{other}'"):
        restore_optimizer(
            build_optimizer(parameters, TrainConfig(optimizer=other)), optimizer_tensors(saved)
        )


def test_another_models_state_is_refused():
    parameters = weights()
    optimizer = build_optimizer(parameters, TrainConfig())
    steps(optimizer, parameters, [1])
    saved = optimizer_tensors(optimizer)
    for other in (parameters[:1], [nn.Parameter(torch.zeros(2, 2)), parameters[1]]):
        with pytest.raises(CheckpointError, match="does not fit this model"):
            restore_optimizer(build_optimizer(other, TrainConfig()), saved)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda s: s.clear(), "lacks '0.exp_avg'"),
        (lambda s: s.pop("1.step"), "lacks '1.step'"),
        (lambda s: s.update({"0.exp_avg": s["0.exp_avg"].long()}), "has torch.int64 .*expected"),
        (lambda s: s.update({"0.step": torch.ones(3, 2)}), r"\(3, 2\) as '0.step'"),
        (lambda s: s.update({"0.exp_avg": torch.tensor(1.0)}), r"\(\) as '0.exp_avg'"),
        (lambda s: s.update({"1.more": s["1.step"]}), "has '1.more'"),
    ],
)
def test_an_incomplete_or_changed_state_is_refused(change, said):
    parameters = weights()
    optimizer = build_optimizer(parameters, TrainConfig(optimizer="adam"))
    steps(optimizer, parameters, [1])
    saved = optimizer_tensors(optimizer)
    change(saved)
    with pytest.raises(CheckpointError, match=said):
        restore_optimizer(build_optimizer(parameters, TrainConfig(optimizer="adam")), saved)


def test_weights_without_gradient_may_have_no_state():
    parameters = weights()
    optimizer = build_optimizer(parameters, TrainConfig(optimizer="adam"))
    steps(optimizer, parameters[:1], [1])
    saved = optimizer_tensors(optimizer)
    fresh = build_optimizer(parameters, TrainConfig(optimizer="adam"))
    restore_optimizer(fresh, saved, whole=False)
    assert optimizer_tensors(fresh).keys() == saved.keys()
    with pytest.raises(CheckpointError, match="lacks '1.exp_avg'"):
        restore_optimizer(fresh, saved)

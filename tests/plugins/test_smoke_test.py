"""What a codec does wrong is told before the training: plugin, method, what was wanted and got."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from toys import ClassCodec, VectorCodec, toy_config, toy_items, toy_registry

import mmvae
from mmvae import Column
from mmvae.experiments.train import dry_run
from mmvae.foundations.errors import ContractBroken, DataError, PluginError
from mmvae.plugins.loader import load_registry
from mmvae.plugins.smoke_test import smoke_test

PLUGIN = """
import mmvae
import torch
from torch.distributions import Normal
from toys import ToySource, VectorCodec

mmvae_contract = 1


class Mine(VectorCodec):
    kind = "mine"

    {method}


@mmvae.hookimpl
def register_codecs(register):
    register(Mine)


@mmvae.hookimpl
def register_sources(register):
    register(ToySource)
"""

BROKEN = {
    "a list for a mapping": (
        "def fit(self, column): return [3]",
        "Wanted fit to give a mapping of what it learned; got [3].",
    ),
    "one tensor for a pair": (
        "def prepare(self, column): return super().prepare(column)[0]",
        "Wanted prepare to give a pair: a tensor, and None or which cells are observed; "
        "got Tensor.",
    ),
    "an array for a tensor": (
        "def prepare(self, column): return super().prepare(column)[0].numpy(), None",
        "Wanted prepare to give a pair: a tensor, and None or which cells are observed; "
        "got ndarray for the values.",
    ),
    "numbers for what is observed": (
        "def prepare(self, column): x, _ = super().prepare(column); return x, x",
        "Wanted observed cells as a bool tensor; got torch.float32.",
    ),
    "a number for an event shape": (
        "event_shape = 3",
        "Wanted event_shape to be a tuple; got 3.",
    ),
    "a view of another shape": (
        "def resample(self, x, generator): return x[:, :2]",
        "Wanted resample to give a tensor (b, event…) = (4, 3); got shape (4, 2).",
    ),
    "a view with NaN": (
        "def resample(self, x, generator): return x / 0 * 0",
        "Wanted to_input and resample to give finite numbers; got NaN or infinity.",
    ),
    "a function for an encoder": (
        "def encoder(self): return lambda x: x",
        "Wanted encoder() to give a torch.nn.Module; got a function.",
    ),
    "an encoder of other values": (
        "def encoder(self): return torch.nn.Linear(4, 8)",
        "Wanted a value of encoder()(x) of x (4, 3); got RuntimeError: mat1 and mat2 shapes "
        "cannot be multiplied (4x3 and 4x8).",
    ),
    "an encoder of other width": (
        "def encoder(self): return torch.nn.Linear(3, 7)",
        "Wanted encoder()(x) to give a tensor (b, feature_dim) = (4, 8); got shape (4, 7).",
    ),
    "NaN on the first batch": (
        "def encoder(self): return torch.nn.Sequential(super().encoder(), Square())\n\n\n"
        "class Square(torch.nn.Module):\n"
        "    def forward(self, x): return (-x.square() - 1).sqrt()",
        "Wanted encoder()(x) to give finite numbers; got NaN or infinity.",
    ),
    "a decoder without an argument": (
        "def decoder(self): return torch.nn.Linear(5, 3)",
        "Wanted a value of decoder(input_dim); got TypeError: Mine.decoder() takes 1 positional "
        "argument but 2 were given.",
    ),
    "a decoder of a tuple": (
        "def decoder(self, input_dim): return Pair(input_dim, 3)\n\n\n"
        "class Pair(torch.nn.Linear):\n    def forward(self, z): return super().forward(z), z",
        "Wanted decoder(input_dim)(z) to give a tensor (b, …), or a dict of those; got a tuple.",
    ),
    "a tensor for a likelihood": (
        "def likelihood(self, parameters): return parameters",
        "Wanted likelihood to give a Distribution with batch shape (4,) and event shape (3,); "
        "got a Tensor.",
    ),
    "a likelihood of cells": (
        "def likelihood(self, parameters): return Normal(parameters, 1.0)",
        "Wanted likelihood to give a Distribution with batch shape (4,) and event shape (3,); "
        "got (4, 3) and (): reinterpret its dimensions with Independent.",
    ),
    "a mean over items": (
        "def log_prob(self, *given): return super().log_prob(*given).mean()",
        "Wanted log_prob to give a tensor (b,) = (4,); got shape ().",
    ),
    "arrays in a state": (
        "def fit(self, column): return {'low': __import__('numpy').zeros(1)}",
        "Wanted fit to give a state of numbers that are finite, texts, lists and dicts of those "
        "by text, or tensors; got 'low': array([0.]) (Object of type ndarray is not JSON "
        "serializable). Arrays can be kept by torch.as_tensor.",
    ),
    "an event shape of nothing": (
        "event_shape = ()",
        "Wanted event_shape to be a tuple of one size > 0 at least; got (). One number per item "
        "has the event shape (1,).",
    ),
    "input of whole numbers": (
        "def to_input(self, x): return x.long()",
        "Wanted to_input to give float32; got torch.int64. Cast it: .to(torch.float32).",
    ),
    "input of half the items": (
        "def to_input(self, x): return x[::2]",
        "Wanted to_input to give a tensor (b, event…) = (16, 3); got shape (8, 3).",
    ),
    "log p in double precision": (
        "def log_prob(self, *given): return super().log_prob(*given).double()",
        "Wanted log_prob to give float32; got torch.float64. Cast it: .to(torch.float32).",
    ),
    "a point of whole numbers": (
        "def point(self, likelihood): return likelihood.mean.long()",
        "Wanted point to give float32; got torch.int64. Cast it: .to(torch.float32).",
    ),
    "a stand-in that is NaN": (
        "def missing(self, b): return torch.full((b, 3), torch.nan)",
        "Wanted missing to give finite numbers; got NaN or infinity.",
    ),
    "a weight of the codec's own": (
        "scale = torch.nn.Parameter(torch.ones(3))\n\n"
        "    def likelihood(self, parameters): return super().likelihood(parameters * self.scale)",
        "Wanted log_prob to follow weights that encoder() and decoder() register, and no others; "
        "got one of shape (3,), in the codec's attribute 'scale'. Create the weight in encoder() "
        "or decoder(), and let the decoder return it: tensors of a codec are neither trained nor "
        "saved. A value that fit learns is not a weight; keep it without a gradient.",
    ),
    "one figure for all items": (
        "def compare(self, guess, x): return {'error': (guess - x).norm()}",
        "Wanted compare to give a dict of names to float tensors (b,) = (4,); got 'error': shape "
        "(). Reduce all but dimension 0.",
    ),
    "values that are no column": (
        "def restore(self, x): return x.numpy()",
        "Wanted restore to give a Column of 4; got a ndarray. Return mmvae.Column(values).",
    ),
    "tensors to look at": (
        "def show(self, x): return list(x)",
        "Wanted show to give PIL images, or strings; got Tensor.",
    ),
    "None for a point": (
        "def point(self, likelihood): pass",
        "Wanted point to give a tensor (b, event…) = (4, 3); got None.",
    ),
}


@pytest.fixture
def dry_run_of(install, monkeypatch):
    """``dry_run_of(method)``: a dry run with a codec that is sound but for this method."""

    def run(method: str) -> None:
        install("my-plugin", "mine", PLUGIN.format(method=method))
        monkeypatch.setenv("MMVAE_PLUGINS", "mine")
        dry_run(toy_config(modalities={"v": {"codec": "mine"}}))

    return run


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_codec_is_told_by_method(dry_run_of, case: str) -> None:
    method, said = BROKEN[case]
    with pytest.raises(PluginError) as caught:
        dry_run_of(method)
    assert caught.value.exit_code == 3
    assert str(caught.value) == (
        f"codec 'mine' of plugin mine (my-plugin 1.0) breaks the contract. {said} "
        f"`mmvae plugins check mine` checks the rest of it."
    )


def test_what_a_plugin_raises_is_told_with_its_place(dry_run_of) -> None:
    with pytest.raises(PluginError) as caught:
        dry_run_of("def prepare(self, column): return {}['scale']")
    assert str(caught.value) == (
        "plugin mine (my-plugin 1.0) failed: KeyError: 'scale' (in Mine.prepare, "
        "my_plugin.py:13). `mmvae plugins check mine` may name what the contract requires."
    )


def test_what_fails_in_the_first_step_alone_is_told_too(dry_run_of) -> None:
    with pytest.raises(PluginError, match=r"mine .* failed: OSError: gone \(in .*my_plugin"):
        dry_run_of(
            "def log_prob(self, likelihood, x, observed):\n"
            "        if torch.is_grad_enabled(): raise OSError('gone')\n"
            "        return super().log_prob(likelihood, x, observed)"
        )


def test_values_that_are_refused_are_still_the_datas(dry_run_of) -> None:
    with pytest.raises(DataError, match="modality 'v': got 1, expected 2"):
        dry_run_of("def prepare(self, column): raise mmvae.UnsupportedValue(0, 1, 2)")


def test_a_rehearsal_changes_nothing_of_a_training(tmp_path, monkeypatch) -> None:
    def train(name: str) -> dict[str, torch.Tensor]:
        found = mmvae.train(
            toy_config(), run_dir=tmp_path / name, registry=toy_registry(), max_steps=2
        )
        return found.model.model.state_dict()

    with_, before = train("with"), torch.get_rng_state()
    monkeypatch.setattr("mmvae.experiments.session.smoke_test_all", lambda data: None)
    without = train("without")
    assert all(torch.equal(w, without[name]) for name, w in with_.items())
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("n", [1, 3])
def test_sound_codecs_pass_also_with_a_single_item_and_gaps(n: int) -> None:
    values = toy_items(n)
    codec = VectorCodec(VectorCodec.Config(gaps=True))
    x, observed = codec.prepare(Column(values["v"]))
    assert observed is not None
    observed[0, 1] = False
    smoke_test(codec, x, observed)
    recipe = ClassCodec(ClassCodec.Config())
    codec = ClassCodec(recipe.config, recipe.fit(Column(values["c"])))
    smoke_test(codec, codec.to_input(codec.prepare(Column(values["c"]))[0]))


def test_a_codec_is_rehearsed_with_what_items_have_and_no_stand_in(tmp_path, monkeypatch) -> None:
    """The first items lack v; no codec has to take what stands in for it as data."""
    seen = []
    monkeypatch.setattr(
        "mmvae.plugins.smoke_test.smoke_test", lambda codec, x, observed: seen.append(x)
    )
    items = toy_items(20)
    present = np.arange(20) >= 6
    data = {"v": Column(items["v"], present=present), "c": Column(items["c"])}
    config = toy_config(data={"source": "memory"})
    mmvae.train(
        config, {"train": data}, run_dir=tmp_path / "run", registry=toy_registry(), max_steps=1
    )
    assert torch.equal(seen[0], torch.from_numpy(items["v"][6:10]))
    assert len(seen[1]) == 4


def test_a_codec_in_memory_is_blamed_by_its_kind() -> None:
    class Flat(VectorCodec):
        def point(self, likelihood):
            return likelihood.mean.sum(1)

    with pytest.raises(ContractBroken, match=r"Wanted point to give .* = \(2, 3\); got shape"):
        smoke_test(Flat(Flat.Config()), torch.zeros(2, 3))


def test_the_installed_plugins_are_not_blamed_for_the_cores_mistakes(monkeypatch) -> None:
    from mmvae.plugins.smoke_test import blaming

    with pytest.raises(ZeroDivisionError), blaming(load_registry()):
        1 / 0  # noqa: B018

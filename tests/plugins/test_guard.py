"""A stranger's codec in use: each wrong value is told by plugin, method, wanted and got."""

from __future__ import annotations

import importlib
import sys

import pytest
import torch
from toys import VectorCodec, toy_config

import mmvae
from mmvae import Column, UnsupportedValue
from mmvae.cli.main import run
from mmvae.data.memory import MemorySource
from mmvae.experiments.train import load
from mmvae.foundations.errors import DataError, PluginError
from mmvae.models.jmvae import JMVAE
from mmvae.plugins.guard import guarded_codec
from mmvae.plugins.offer import Offer
from mmvae.plugins.plugin_info import PluginInfo
from mmvae.plugins.registry import Registry

PLUGIN = """
import mmvae
import torch
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

WHOSE = "codec 'mine' of plugin mine (my-plugin 1.0) breaks the contract. "
CHECK = " `mmvae plugins check mine` checks the rest of it."


@pytest.fixture
def used(install, monkeypatch, tmp_path):
    """``used(method, *command)``: a run of a sound codec, whose plugin then has this method."""
    install("my-plugin", "mine", PLUGIN.format(method="pass"))
    monkeypatch.setenv("MMVAE_PLUGINS", "mine")
    config = toy_config(modalities={"v": {"codec": "mine"}, "w": {"codec": "mine"}})
    mmvae.train(config, run_dir=tmp_path / "run", max_steps=1)

    def use(method: str, *command: str) -> int:
        module = tmp_path / "site-packages" / "my_plugin.py"
        module.write_text(PLUGIN.format(method=method), encoding="utf-8")
        monkeypatch.delitem(sys.modules, "my_plugin", raising=False)
        monkeypatch.setattr(sys, "dont_write_bytecode", True)
        importlib.invalidate_caches()
        return run([part.format(run=tmp_path / "run", tmp=tmp_path) for part in command])

    return use


GENERATE = ("generate", "{run}", "--given", "v=1,2,3", "--to", "w")
IN_USE = {
    "restore": (
        "def restore(self, x): return x.numpy()",
        GENERATE,
        "Wanted restore to give a Column of 1; got a ndarray. Return mmvae.Column(values).",
    ),
    "parse": (
        "def parse(self, text): return [1, 2, 3]",
        GENERATE,
        "Wanted parse to give a Column of 1; got a list. Return mmvae.Column(values).",
    ),
    "show": (
        "def show(self, x): return x",
        GENERATE,
        "Wanted show to give a list; got a Tensor.",
    ),
    "point": (
        "def point(self, likelihood): return likelihood.mean.double()",
        GENERATE,
        "Wanted point to give float32; got torch.float64. Cast it: .to(torch.float32).",
    ),
    "sample": (
        "def sample(self, likelihood, generator): return likelihood.mean[:, :2]",
        (*GENERATE, "--sample"),
        "Wanted sample to give a tensor (b, event…) = (1, 3); got shape (1, 2).",
    ),
    "condition": (
        "def condition(self, raw): return raw.values",
        GENERATE,
        "Wanted condition to give a tensor (b, event…) = (1,); got a ndarray.",
    ),
    "compare": (
        "def compare(self, guess, x): return {'error': 1.0}",
        ("evaluate", "{run}"),
        "Wanted compare to give a dict of names to float tensors (b,) = (20,); got 'error': a "
        "float.",
    ),
    "doubts": (
        "def doubts(self, column): return [(len(column), 'odd')]",
        ("data", "check", "{tmp}/mine.toml"),
        "Wanted doubts to give pairs of a row, 0 to 59, and a text; got the row 60.",
    ),
    "missing": (
        "def missing(self, b): return torch.zeros(b, 3).int()",
        ("impute", "{run}", "{tmp}/gaps.jsonl", "--out", "{tmp}/filled.jsonl"),
        "Wanted missing to give float32; got torch.int32. Cast it: .to(torch.float32).",
    ),
}


@pytest.mark.parametrize("method", IN_USE)
def test_a_wrong_value_in_use_is_told_by_plugin_and_method(used, capsys, tmp_path, method) -> None:
    code, command, said = IN_USE[method]
    (tmp_path / "gaps.jsonl").write_text('{"v": [1, 2, 3], "w": null}\n', encoding="utf-8")
    (tmp_path / "mine.toml").write_text('data.source = "toy"\nmodalities.v.codec = "mine"\n')
    assert used(code, *command) == 3
    assert capsys.readouterr().err.endswith(f"error: {WHOSE}{said}{CHECK}\n")
    assert not (tmp_path / "filled.jsonl").exists()


def test_what_a_method_raises_in_use_is_told_with_its_place(used, capsys) -> None:
    assert used("def restore(self, x): return {}['scale']", *GENERATE) == 3
    assert capsys.readouterr().err == (
        "error: plugin mine (my-plugin 1.0) failed: KeyError: 'scale' (in Mine.restore, "
        "my_plugin.py:12). `mmvae plugins check mine` may name what the contract requires.\n"
    )


def test_what_a_network_raises_in_use_is_told_too(used, capsys) -> None:
    code = (
        "def decoder(self, input_dim):\n"
        "        network = super().decoder(input_dim)\n"
        "        network.register_forward_hook(fail)\n"
        "        return network\n\n\n"
        "calls = []\n\n\n"
        "def fail(*given):\n"
        "    calls.append(given)\n"
        "    if len(calls) > 2:  # of which two try the model out as it is loaded\n"
        "        raise ArithmeticError('no luck')"
    )
    assert used(code, *GENERATE) == 3
    told = capsys.readouterr().err
    assert "plugin mine (my-plugin 1.0) failed: ArithmeticError: no luck (in fail, my_pl" in told
    assert "Traceback" not in told


def registry_of(codec: type[mmvae.Codec], distribution: str = "my-plugin") -> Registry:
    offer = Offer("codec", codec.kind, codec)
    return Registry([PluginInfo("mine", distribution, "1.0", offers=(offer,))])


class Mine(VectorCodec):
    kind = "mine"

    def fit(self, column):
        return {"ends": (0, 1), "scale": torch.ones(2)[::2]}

    def _ask(self):
        return "its own"

    def prepare(self, column):
        raise UnsupportedValue(0, 1, "two")

    def parse(self, text):
        raise ValueError(self._ask())

    def class_index(self, x):
        return super().class_index(x)


def test_a_guarded_codec_is_its_class_and_learns_what_a_run_keeps() -> None:
    guarded = guarded_codec(registry_of(Mine), "mine")
    assert issubclass(guarded, Mine)
    assert (guarded.__name__, guarded.__module__) == ("Mine", Mine.__module__)
    assert guarded_codec(registry_of(Mine), "mine") is guarded
    learned = guarded(Mine.Config()).fit(Column([]))
    assert learned["ends"] == [0, 1]
    assert learned["scale"].is_contiguous()


def test_what_a_codec_says_of_values_passes_the_guard() -> None:
    codec = guarded_codec(registry_of(Mine), "mine")(Mine.Config())
    with pytest.raises(UnsupportedValue):
        codec.prepare(Column([1]))
    with pytest.raises(ValueError, match="its own"):
        codec.parse("1")
    with pytest.raises(PluginError, match="failed: NotImplementedError: Codec 'mine' has no cl"):
        codec.class_index(torch.zeros(1, 3))


def test_codecs_in_memory_raise_what_they_raise_and_are_told_by_their_kind() -> None:
    class Loose(VectorCodec):
        kind = "loose"

        def show(self, x):
            return [1] * len(x)

        def restore(self, x):
            raise KeyError("gone")

    registry = Registry.of(codecs=[Loose])
    codec = guarded_codec(registry, "loose")(Loose.Config())
    with pytest.raises(KeyError, match="gone"):
        codec.restore(torch.zeros(1, 3))
    with pytest.raises(PluginError) as caught:
        codec.show(torch.zeros(1, 3))
    assert str(caught.value) == (
        "codec 'loose' breaks the contract. Wanted show to give PIL images, or strings; got int. "
        "mmvae.testing.CodecContract checks the rest of it."
    )


def test_long_values_are_cut_in_messages(tmp_path) -> None:
    class Sounds(VectorCodec):
        kind = "sounds"

        def prepare(self, column):
            raise UnsupportedValue(0, column.values[0], f"a WAV file, not {column.values[0]}")

    config = toy_config(data={"source": "memory"}, modalities={"v": {"codec": "sounds"}})
    data = {"v": [b"RIFF" + bytes(range(256)) * 4096] * 20}
    registry = Registry.of(codecs=[Sounds], sources=[MemorySource], models=[JMVAE])
    with pytest.raises(DataError) as caught:
        mmvae.train(config, {"train": data}, run_dir=tmp_path / "run", registry=registry)
    assert len(str(caught.value)) < 700
    assert "b'RIFF" in str(caught.value)


def test_a_loaded_model_is_guarded_in_python_too(used, tmp_path) -> None:
    assert used("def show(self, x): return None", "info") == 0
    with pytest.raises(PluginError, match="Wanted show to give a list; got None"):
        load(tmp_path / "run")

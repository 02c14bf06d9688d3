"""Every mistake of a file is told at once, each with its line, key, value and what to write."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Literal

import pytest
from nudge import nudge_registry
from pydantic import BaseModel

from mmvae.data.source import SourceConfig
from mmvae.experiments.config import load_experiment
from mmvae.foundations.errors import ConfigError, MmvaeError, PluginError
from mmvae.plugins.plugin_info import PluginInfo
from mmvae.plugins.registry import Registry

WRONG = """\
nmae = "x"
[data]
source = "toybocks"

[modalities.a]
codec = "toy"
size = "s"
weigth = 2
[modalities.b]
codec = "toi"
[modalities.c]
size = 3
[modalities."d+e"]
codec = "toy"

[model]
alpha = -1
subsets = ["x", 1]

[train]
epochs = true
optimizer = "adm"
betas = [0.9]
"""

EXPECTED = """\
FILE has 12 mistakes:
  FILE:1: nmae = "x": unknown key. Did you mean 'name'?
  FILE:3: data.source = "toybocks": unknown source 'toybocks'; installed plugins offer: toybox. \
Did you mean 'toybox'? `mmvae plugins list` shows where each comes from.
  FILE:7: modalities.a.size = "s": expected an integer.
  FILE:8: modalities.a.weigth = 2: unknown key. Did you mean 'weight'?
  FILE:10: modalities.b.codec = "toi": unknown codec 'toi'; installed plugins offer: toy. \
Did you mean 'toy'? `mmvae plugins list` shows where each comes from.
  FILE:11: modalities.c.codec: this key is required; expected one of: toy.
  FILE:13: modalities."d+e": expected a name of the letters A-Z and a-z, digits, _ and -.
  FILE:17: model.alpha = -1: expected a number >= 0.
  FILE:18: model.subsets[1] = 1: expected a text in quotes.
  FILE:21: train.epochs = true: expected an integer.
  FILE:22: train.optimizer = "adm": expected 'adam', 'adamw' or 'sgd'. Did you mean 'adam'?
  FILE:23: train.betas = [0.9]: expected at least 2 entries."""


def mistakes(text: str, registry: Registry, tmp_path: Path, *overrides: str) -> str:
    path = tmp_path / "x.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(MmvaeError) as caught:
        load_experiment(path, overrides, registry)
    message = str(caught.value)
    assert "pydantic" not in message
    assert "Input should" not in message
    return message.replace(str(path), "FILE")


def test_the_first_of_very_many_mistakes_are_told(toys, tmp_path) -> None:
    began = time.process_time()
    lines = "".join(f"k{i} = 1\n" for i in range(20_000))
    told = mistakes(lines + WRONG, toys, tmp_path).splitlines()
    assert time.process_time() - began < 10
    assert told[0].startswith("FILE has more than ")
    assert [line.split(":")[1] for line in told[1:-1]] == [str(n) for n in range(1, 21)]
    assert told[-1].strip() == "These are the first 20."
    few = mistakes("".join(f"k{i} = 1\n" for i in range(25)) + WRONG, toys, tmp_path).splitlines()
    assert (few[0], len(few)) == ("FILE has 37 mistakes:", 22)


@pytest.mark.parametrize("text", ["{} = 1", 'data.source = "{}"', '[modalities.v]\ncodec = "{}"'])
def test_a_very_long_text_is_told_in_short(toys, tmp_path, text: str) -> None:
    assert len(mistakes(text.format("x" * 200_000), toys, tmp_path)) < 4000


def test_all_mistakes_are_told_at_once_in_the_order_of_the_file(toys, tmp_path) -> None:
    assert mistakes(WRONG, toys, tmp_path) == EXPECTED


GOOD = '[data]\nsource = "toybox"\nroot = "x"\n[modalities.a]\ncodec = "toy"\n'


@pytest.mark.parametrize(
    ("text", "override", "message"),
    [
        ("", "train.epochs=1", "FILE: data: this key is required: Source of the items"),
        ("", "train.epochs=1", "FILE: modalities: this key is required"),
        ("data = 3\n", "train.epochs=1", "FILE:1: data = 3: expected a table with the key"),
        (GOOD, "modalities={}", "modalities: expected at least one table [modalities.NAME]"),
        (GOOD, "modalities=3", "modalities = 3: expected a table"),
        (GOOD, "modalities.a=3", "modalities.a = 3: expected a table with the key 'codec'"),
        (GOOD, "modalities.a.codec=[]", "modalities.a.codec = []: expected a text in quotes"),
        (GOOD, "modalities.a.codec=''", "unknown codec ''"),
        (GOOD, "train=3", "train = 3: expected a table"),
        (GOOD, "model.beta=1", "unknown key. Expected one of: alpha, subsets"),
        (GOOD, "train.epoch=5", "-s train.epoch=5: train.epoch = 5: unknown key. Did you mean"),
        (GOOD, "evaluate.split=tset", "or 'test'. Did you mean 'te"),
        (GOOD, "model.kind=vae", "unknown model 'vae'; installed plugins offer: jmvae"),
        (GOOD, "name=a/b", "name = \"a/b\": expected a name, not a path"),
        (GOOD, "modalities.a.scale=nix", 'modalities.a.scale = "nix": expected a number'),
        (GOOD, "data.resident=maybe", "expected true or false or 'auto'"),
        (GOOD, "modalities.codec.codec=tea", "modalities.codec.codec = \"tea\": unknown codec"),
        ('[data]\nsource = "toybox"\n', "modalities.a.codec=toy",
         "FILE:1: data.root: this key is required: Folder of the toys."),
    ],
)  # fmt: skip
def test_each_mistake_says_what_to_write(toys, tmp_path, text, override, message) -> None:
    assert message in mistakes(text, toys, tmp_path, override)


def broken(*plugins: PluginInfo, base: Registry) -> Registry:
    return Registry([*base.plugins, *plugins])


def test_a_mistake_that_a_broken_plugin_may_have_made_is_its_own(toys, tmp_path) -> None:
    bad = PluginInfo("bad", "bad-plugin", "1.0", "broken", error="ImportError: no luck")
    registry = broken(bad, base=toys)
    path = tmp_path / "x.toml"
    path.write_text(GOOD.replace('"toy"', '"images"'), encoding="utf-8")
    with pytest.raises(
        PluginError, match=r"bad \(bad-plugin 1.0\) is broken: ImportError: no luck"
    ):
        load_experiment(path, registry=registry)
    with pytest.raises(ConfigError, match="2 mistakes"):
        load_experiment(path, ["train.epochs=0"], registry)
    path.write_text(GOOD, encoding="utf-8")
    assert load_experiment(path, registry=registry), "who needs nothing of it is not disturbed"


class Layer(BaseModel):
    toybox: int = 1
    width: int | Literal["auto"] = "auto"


class NestedConfig(SourceConfig):
    layers: list[Layer] = []
    toybox: Layer | None = None


def test_keys_inside_nested_schemas_are_named_in_full(toys, tmp_path) -> None:
    box = toys.find("source", "toybox")
    nested = type("Nested", (box,), {"kind": "nested", "Config": NestedConfig})
    registry = Registry.of(
        codecs=toys.kinds("codec").values(), sources=[nested], models=toys.kinds("model").values()
    )
    text = """\
[data]
source = "nested"
toybox = { toybox = "x" }
[[data.layers]]
width = 3
[[data.layers]]
width = "wide"
[modalities.toy]
codec = "toy"
size = 0
"""
    assert mistakes(text, registry, tmp_path).splitlines()[1:] == [
        '  FILE:3: data.toybox.toybox = "x": expected an integer.',
        "  FILE:7: data.layers[1].width = \"wide\": expected an integer or 'auto'.",
        "  FILE:10: modalities.toy.size = 0: expected a number >= 1.",
    ]


def test_mistakes_in_the_table_of_an_extension_have_their_line(tmp_path) -> None:
    registry = nudge_registry()
    good = '[data]\nsource = "toy"\n[modalities.v]\ncodec = "toy-vector"\n'
    wrong = good + '[nudge]\nmodalty = "v"\nrate = -1\n'
    assert mistakes(wrong, registry, tmp_path) == (
        "FILE has 3 mistakes:\n"
        "  FILE:5: nudge.modality: this key is required: What it guesses from.\n"
        "  FILE:6: nudge.modalty = \"v\": unknown key. Did you mean 'modality'?\n"
        "  FILE:7: nudge.rate = -1: expected a number > 0."
    )
    said = mistakes(good, registry, tmp_path, "nudge=3")
    assert said == "-s nudge=3: nudge = 3: expected a table."
    near = mistakes(good + "[nuge]\nrate = 1\n", registry, tmp_path)
    assert near == "FILE:5: nuge: unknown key. Did you mean 'nudge'?"


def test_a_table_whose_plugin_is_not_there_says_what_is(tmp_path) -> None:
    path = tmp_path / "x.toml"
    path.write_text(GOOD + '[adversary]\nmodality = "a"\n', encoding="utf-8")
    installed = nudge_registry()
    with pytest.raises(ConfigError, match=r"adversary: unknown table: .*offer: nudge") as caught:
        load_experiment(path, (), Registry.of(extensions=installed.kinds("extension").values()))
    assert "Install the plugin that it belongs to" in str(caught.value)
    assert ":6: adversary" in str(caught.value)
    broken = PluginInfo("bad", "bad-plugin", "1.0", "broken", error="ImportError: no x")
    good = nudge_registry().plugins
    path.write_text(
        '[data]\nsource = "toy"\n[modalities.v]\ncodec = "toy-vector"\n[adversary]\n',
        encoding="utf-8",
    )
    with pytest.raises(PluginError, match="adversary: .*ImportError: no x") as caught:
        load_experiment(path, (), Registry([*good, broken]))
    assert caught.value.exit_code == 3

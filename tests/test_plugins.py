"""One broken plugin is blamed by name and stops nothing that does not need it."""

from __future__ import annotations

import pytest

from mmvae.config import Experiment
from mmvae.errors import ConfigError, PluginError, UsageError
from mmvae.plugins import PluginInfo, Registry, load_registry
from mmvae.registry import TOP_LEVEL

SHELF = """
import mmvae
from {module} import Toy

@mmvae.hookimpl
def register_codecs(register):
    {body}
"""

BROKEN = {
    "import error": ("from mmvae import no_such_name", "ImportError", "no_such_name"),
    "syntax error": ("def f(:", "SyntaxError", "invalid syntax"),
    "exit": ("raise SystemExit(3)", "SystemExit: 3", "imported"),
    "missing dependency": ("import surely_not_installed", "surely_not_installed", "not installed"),
    "hook raises": (
        "import mmvae\n@mmvae.hookimpl\ndef register_codecs(register):\n    1 / 0",
        "ZeroDivisionError",
        "division by zero",
    ),
    "misspelt hook": (
        "import mmvae\n@mmvae.hookimpl\ndef register_codec(register): ...",
        "unknown hook 'register_codec'",
        "Did you mean 'register_codecs'?",
    ),
    "wrong argument": (
        "import mmvae\n@mmvae.hookimpl\ndef register_codecs(registr): ...",
        "registr",
        "can not be found in the hookspec",
    ),
    "no hook": ("def register_codecs(register): ...", "no hook", "@mmvae.hookimpl"),
    "no codec": (
        "import mmvae\n@mmvae.hookimpl\ndef register_codecs(register):\n    register(dict)",
        "dict",
        "expected a subclass of <class 'mmvae.codec.Codec'>",
    ),
    "an object for a class": (
        "import mmvae\n@mmvae.hookimpl\ndef register_sources(register):\n    register(3)",
        "3",
        "expected a subclass of <class 'mmvae.source.Source'>",
    ),
    "no maker": (
        "import mmvae\n@mmvae.hookimpl\ndef register_makers(register):\n    register(dict)",
        "dict",
        "expected a subclass of <class 'mmvae.maker.Maker'>",
    ),
    "abstract codec": (
        "import mmvae\nclass C(mmvae.Codec):\n    kind = 'c'\n"
        "@mmvae.hookimpl\ndef register_codecs(register):\n    register(C)",
        "its codec C leaves out",
        "decoder, encoder",
    ),
    "no kind": (
        "import mmvae\nclass M: ...\n"
        "@mmvae.hookimpl\ndef register_models(register):\n    register(M)",
        "its model M has kind None",
        "expected a word",
    ),
    "an extension that takes a table of the core's": (
        "import mmvae\nclass E:\n    kind = 'train'\n"
        "@mmvae.hookimpl\ndef register_extensions(register):\n    register(E)",
        "its extension E has kind 'train'",
        "none of name, data, modalities, model, train",
    ),
    "an extension that names no table": (
        "import mmvae\nclass E:\n    kind = 'model-json'\n"
        "@mmvae.hookimpl\ndef register_extensions(register):\n    register(E)",
        "its extension E has kind 'model-json'",
        "a table of its own",
    ),
    "no Config": (
        "import mmvae\nclass M:\n    kind = 'm'\n    Config = dict\n"
        "@mmvae.hookimpl\ndef register_models(register):\n    register(M)",
        "its model M has Config",
        "BaseModel",
    ),
}


def info(registry: Registry, name: str) -> PluginInfo:
    [found] = [plugin for plugin in registry.plugins if plugin.name == name]
    return found


def test_a_sound_plugin_is_found_with_its_distribution(install) -> None:
    install("toy-plugin", "toys")
    registry = load_registry()
    plugin = info(registry, "toys")
    assert (plugin.distribution, plugin.version, plugin.state) == ("toy-plugin", "1.0", "ok")
    assert list(map(str, plugin.offers)) == ["codec toy", "source toybox"]
    assert registry.codec("toy").kind == "toy"
    assert registry.source("toybox").kind == "toybox"
    assert registry.provider("codec", "toy") is plugin


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_plugin_is_blamed_and_the_others_go_on(install, case: str) -> None:
    code, *words = BROKEN[case]
    install("bad-plugin", "bad", code)
    install("toy-plugin", "toys")
    registry = load_registry()
    broken = info(registry, "bad")
    assert broken.state == "broken"
    assert "\n" not in broken.error
    for word in words:
        assert word in broken.error
    assert broken.traceback.startswith("Traceback")
    assert registry.codec("toy").kind == "toy"
    with pytest.raises(PluginError, match=r"'nothing'.*bad \(bad-plugin 1.0\): ") as caught:
        registry.codec("nothing")
    assert caught.value.exit_code == 3


def test_what_a_plugin_offered_before_it_broke_is_not_used(install) -> None:
    install("toy-plugin", "toys")
    body = "register(type('Half', (Toy,), {'kind': 'half'})); 1 / 0"
    install("half-plugin", "half", SHELF.format(module="toy_plugin", body=body))
    registry = load_registry()
    assert "half" not in registry.codecs
    with pytest.raises(PluginError, match="ZeroDivisionError"):
        registry.codec("half")


def test_a_kind_offered_twice_names_both_and_harms_only_itself(install) -> None:
    install("toy-plugin", "toys")
    install("copy-plugin", "copies", SHELF.format(module="toy_plugin", body="register(Toy)"))
    registry = load_registry()
    with pytest.raises(PluginError, match=r"copies \(copy-plugin 1.0\), toys \(toy-plugin 1.0\)"):
        registry.codec("toy")
    assert registry.source("toybox").kind == "toybox"
    [conflict] = registry.conflicts
    assert "copy-plugin" in conflict
    assert "toy-plugin" in conflict


def test_one_plugin_offering_a_kind_twice_is_broken(install) -> None:
    install("toy-plugin", "toys")
    body = "register(Toy); register(Toy)"
    install("twice-plugin", "twice", SHELF.format(module="toy_plugin", body=body))
    assert "two codecs of kind 'toy'" in info(load_registry(), "twice").error


def test_only_and_all_but(install) -> None:
    install("toy-plugin", "toys")
    install("bad-plugin", "bad", "raise SystemExit")
    only = load_registry({"MMVAE_PLUGINS": "toys"})
    assert (info(only, "toys").state, info(only, "bad").state) == ("ok", "disabled")
    assert info(only, "jmvae").state != "disabled", "the core's own are always heard"
    without = load_registry({"MMVAE_DISABLE_PLUGINS": "toys, bad"})
    assert (info(without, "toys").state, info(without, "bad").state) == ("disabled", "disabled")
    assert "toy" not in without.codecs


def test_a_disabled_plugin_is_not_imported_and_is_mentioned(install) -> None:
    install("bad-plugin", "bad", "raise KeyboardInterrupt")
    registry = load_registry({"MMVAE_DISABLE_PLUGINS": "bad"})
    with pytest.raises((ConfigError, PluginError), match="Disabled plugins: bad"):
        registry.codec("nothing")


@pytest.mark.parametrize("variable", ["MMVAE_PLUGINS", "MMVAE_DISABLE_PLUGINS"])
def test_an_unknown_name_in_the_environment_is_an_error(install, variable: str) -> None:
    install("toy-plugin", "toys")
    with pytest.raises(
        UsageError, match=f"{variable} names 'toyz'.*Did you mean 'toys'"
    ) as caught:
        load_registry({variable: "toyz"})
    assert caught.value.exit_code == 2


def test_a_plugin_cannot_catch_ctrl_c(install) -> None:
    install("bad-plugin", "bad", "raise KeyboardInterrupt")
    with pytest.raises(KeyboardInterrupt):
        load_registry()


def test_an_unknown_kind_gets_the_nearest_and_the_list(install) -> None:
    install("toy-plugin", "toys")
    toy = load_registry().codec("toy")
    registry = Registry.of(codecs=[toy])
    with pytest.raises(ConfigError, match=r"offer: toy\. Did you mean 'toy'\?") as caught:
        registry.codec("toi")
    assert caught.value.exit_code == 2
    assert "mmvae plugins list" in str(caught.value)


def test_a_registry_made_in_memory_checks_what_it_is_given() -> None:
    assert Registry.of().codecs == {}
    with pytest.raises(TypeError, match="expected a subclass"):
        Registry.of(codecs=[dict])  # type: ignore[list-item]


def test_no_extension_can_take_a_table_of_the_core() -> None:
    assert set(TOP_LEVEL) == set(Experiment.model_fields)

"""One broken plugin is blamed by name and stops nothing that does not need it."""

from __future__ import annotations

import pydantic
import pytest

import mmvae
from conftest import TOY
from mmvae.experiments.experiment import Experiment
from mmvae.foundations.errors import (
    ConfigError,
    PluginError,
    PluginWarning,
    Terminated,
    UsageError,
)
from mmvae.plugins.loader import load_registry
from mmvae.plugins.plugin_info import SLOW_S, PluginInfo
from mmvae.plugins.registry import Registry
from mmvae.plugins.roles import ROLES, top_level

SHELF = """
import mmvae
from {module} import Toy

@mmvae.hookimpl
def register_codecs(register):
    {body}
"""

HOOK = "import mmvae\n@mmvae.hookimpl\ndef register_"

BROKEN = {
    "import error": (
        "from mmvae import no_such_name",
        "ImportError: cannot import name 'no_such_name' from 'mmvae' ({mmvae})",
    ),
    "syntax error": ("def f(:", "SyntaxError: invalid syntax (bad_plugin.py, line 1)"),
    "exit": (
        "raise SystemExit(3)",
        "it ends the program when it is imported (SystemExit: 3)",
    ),
    "an exception that is none": (
        "class Stop(BaseException): ...\nraise Stop('here')",
        "Stop: here",
    ),
    "missing dependency": (
        "import surely_not_installed",
        "the module 'surely_not_installed' that it needs is not installed",
    ),
    "hook raises": (
        HOOK + "codecs(register):\n    1 / 0",
        "ZeroDivisionError: division by zero",
    ),
    "misspelt hook": (
        HOOK + "codec(register): ...",
        "unknown hook 'register_codec'. Did you mean 'register_codecs'?",
    ),
    "wrong argument": (
        HOOK + "codecs(registr): ...",
        "its hook register_codecs takes the arguments (registr); expected (register)",
    ),
    "no argument": (
        HOOK + "codecs(): ...",
        "its hook register_codecs takes the arguments (); expected (register)",
    ),
    "unmarked hook": (
        "def register_codecs(register): ...",
        "its register_codecs is not marked with @mmvae.hookimpl",
    ),
    "no hook": (
        "",
        "it has no hook; mark one of register_codecs, {hooks} with @mmvae.hookimpl",
    ),
    "no codec": (
        HOOK + "codecs(register):\n    register(dict)",
        "TypeError: it registers <class 'dict'> as a codec: expected a subclass of "
        "<class 'mmvae.modalities.codec.Codec'>",
    ),
    "an object for a class": (
        HOOK + "sources(register):\n    register(3)",
        "TypeError: it registers 3 as a source: expected a subclass of "
        "<class 'mmvae.data.source.Source'>",
    ),
    "no maker": (
        HOOK + "makers(register):\n    register(dict)",
        "TypeError: it registers <class 'dict'> as a maker: expected a subclass of "
        "<class 'mmvae.data.generator.Maker'>",
    ),
    "no model": (
        "class M:\n    kind = 'm'\n" + HOOK + "models(register):\n    register(M)",
        "TypeError: it registers <class 'bad_plugin.M'> as a model: expected a subclass of "
        "<class 'mmvae.models.base.Model'>",
    ),
    "no observer": (
        HOOK + "observers(register):\n    register(dict)",
        "TypeError: it registers <class 'dict'> as an observer: expected a subclass of "
        "<class 'mmvae.training.observer.Observer'>",
    ),
    "abstract codec": (
        "import mmvae\nclass C(mmvae.Codec):\n    kind = 'c'\n"
        + HOOK
        + "codecs(register):\n    register(C)",
        "TypeError: its codec C leaves out what every codec must define: decoder, encoder, "
        "event_shape, feature_dim, likelihood, parse, point, prepare, restore",
    ),
    "no kind": (
        "import mmvae\nclass M(mmvae.Model): ...\n" + HOOK + "models(register):\n    register(M)",
        "TypeError: its model M has kind None: expected a word such as 'gaussian-image' "
        "(lower-case letters and digits, parts joined by - _ or .)",
    ),
    "an extension that takes a table of the core's": (
        "import mmvae\nclass E(mmvae.Extension):\n    kind = 'train'\n"
        + HOOK
        + "extensions(register):\n    register(E)",
        "TypeError: its extension E has kind 'train', which cannot name a table of its own: "
        "expected a word such as 'adversary', of a-z, 0-9 and _, and none of {tables}",
    ),
    "an extension that names no table": (
        "import mmvae\nclass E(mmvae.Extension):\n    kind = 'model-json'\n"
        + HOOK
        + "extensions(register):\n    register(E)",
        "TypeError: its extension E has kind 'model-json', which cannot name a table of its own: "
        "expected a word such as 'adversary', of a-z, 0-9 and _, and none of {tables}",
    ),
    "no Config": (
        "import mmvae\nclass M(mmvae.Model):\n    kind = 'm'\n    Config = dict\n"
        + HOOK
        + "models(register):\n    register(M)",
        "TypeError: its model M has Config <class 'dict'>: expected a subclass of "
        "<class 'mmvae.models.base.ModelConfig'>",
    ),
    "a Config with a key of the core's": (
        "import mmvae\nclass C(mmvae.SourceConfig):\n    source: str = 'x'\n"
        "class S(mmvae.Source):\n    kind, Config = 's', C\n"
        "    def splits(self): ...\n    def fingerprint(self): ...\n"
        + HOOK
        + "sources(register):\n    register(S)",
        "TypeError: its source S has a Config with the key 'source', which chooses the source: "
        "give that key another name",
    ),
    "a Config that TOML cannot write": (
        "from collections.abc import Callable\nimport mmvae\n"
        "class C(mmvae.ModelConfig):\n    f: Callable[[], int] = int\n"
        "class M(mmvae.Model):\n    kind, Config = 'm', C\n"
        + HOOK
        + "models(register):\n    register(M)",
        "TypeError: its model M has a Config without a JSON Schema; expected fields that TOML "
        "can write: Cannot generate a JsonSchema for core_schema.CallableSchema For further "
        "information visit {pydantic}",
    ),
    "a version that is no number": (
        "import mmvae\nmmvae_contract = mmvae.__version__",
        "its module bad_plugin states mmvae_contract = mmvae.__version__; expected a number "
        "written out, such as mmvae_contract = 1, since it is read before the module is imported",
    ),
}
"""What is wrong → the plugin's module, and what is said of it."""


def said(text: str) -> str:
    """A text of :data:`BROKEN`, with what belongs to this installation."""
    hooks = [role.hook for role in ROLES.values()]
    return text.format(
        mmvae=mmvae.__file__,
        hooks=", ".join(hooks[1:]),
        tables=", ".join(top_level()),
        pydantic=f"https://errors.pydantic.dev/{'.'.join(pydantic.VERSION.split('.')[:2])}/u/"
        "invalid-for-json-schema",
    )


def info(registry: Registry, name: str) -> PluginInfo:
    [found] = [plugin for plugin in registry.plugins if plugin.name == name]
    return found


def test_a_sound_plugin_is_found_with_its_distribution(install) -> None:
    install("toy-plugin", "toys")
    registry = load_registry()
    plugin = info(registry, "toys")
    assert (plugin.distribution, plugin.version, plugin.state) == ("toy-plugin", "1.0", "ok")
    assert list(map(str, plugin.offers)) == ["codec toy", "source toybox"]
    assert registry.find("codec", "toy").kind == "toy"
    assert registry.find("source", "toybox").kind == "toybox"
    assert registry.provider("codec", "toy") is plugin


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_plugin_is_blamed_once_and_the_others_go_on(
    install, monkeypatch, case: str
) -> None:
    monkeypatch.delenv("MMVAE_DISABLE_PLUGINS", raising=False)  # the message would name those
    code, error = BROKEN[case]
    install("bad-plugin", "bad", code)
    install("toy-plugin", "toys")
    with pytest.warns(PluginWarning) as warned:
        registry = load_registry()
    broken = info(registry, "bad")
    assert broken.state == "broken"
    assert broken.error == said(error)
    assert broken.traceback.startswith("Traceback")
    assert registry.find("codec", "toy").kind == "toy"
    [warning] = warned
    mended = (
        f"bad (bad-plugin 1.0) is broken: {broken.error.rstrip('.')}. Repair it (pip install "
        f"--upgrade bad-plugin), uninstall it, or leave it out with MMVAE_DISABLE_PLUGINS=bad; "
        f"`mmvae plugins list --traceback` shows more."
    )
    assert str(warning.message) == f"plugin {mended}"
    with pytest.raises(PluginError) as caught:
        registry.find("codec", "nothing")
    offered = registry.kinds("codec")
    assert str(caught.value) == (
        f"unknown codec 'nothing'; installed plugins offer: {', '.join(offered)}. "
        f"A broken plugin may have offered it: {mended}"
    )
    assert caught.value.exit_code == 3


@pytest.mark.parametrize(
    ("value", "error"),
    [
        ("nowhere", "there is no module 'nowhere'"),
        ("nowhere.deep", "there is no module 'nowhere'"),
        ("bad_plugin:thing", "module 'bad_plugin' has no attribute 'thing'"),
    ],
)
def test_an_entry_point_to_nowhere(install, site, value: str, error: str) -> None:
    install("bad-plugin", "bad", "")
    file = site / "bad_plugin-1.0.dist-info" / "entry_points.txt"
    file.write_text(f"[mmvae]\nbad = {value}\n")
    broken = info(load_registry(warn=False), "bad")
    assert broken.error == f"its entry point bad = {value!r} cannot be resolved: {error}"


@pytest.mark.parametrize("value", ["", "no module!", "bad_plugin:", "a-b"])
def test_an_entry_point_that_refers_to_nothing(install, site, value: str) -> None:
    install("bad-plugin", "bad", "")
    file = site / "bad_plugin-1.0.dist-info" / "entry_points.txt"
    file.write_text(f"[mmvae]\nbad = {value}\n")
    broken = info(load_registry(warn=False), "bad")
    assert broken.error == f"its entry point bad = {value!r} is no module:attribute"


@pytest.mark.parametrize("metadata", [None, ""])
def test_a_distribution_without_metadata_is_used_as_an_unknown_one(
    install, site, metadata: str | None
) -> None:
    install("toy-plugin", "toys")
    file = site / "toy_plugin-1.0.dist-info" / "METADATA"
    file.unlink() if metadata is None else file.write_text(metadata)
    found = info(load_registry(warn=False), "toys")
    assert (found.distribution, found.version, found.state) == ("unknown", "unknown", "ok")


def test_a_module_that_a_plugin_lacks_is_not_taken_for_itself(install) -> None:
    install("bad-plugin", "bad", "import bad_plugin_extras")
    assert "'bad_plugin_extras' that it needs" in info(load_registry(warn=False), "bad").error


def test_what_a_plugin_prints_is_no_result(install, capsys) -> None:
    install("toy-plugin", "toys", f"print('hello'){TOY}")
    assert load_registry().find("codec", "toy").kind == "toy"
    printed = capsys.readouterr()
    assert (printed.out, printed.err) == ("", "hello\n")


def test_a_plugin_that_takes_long_to_import_is_named(install) -> None:
    install("toy-plugin", "toys", f"import time; time.sleep({SLOW_S + 0.1}){TOY}")
    with pytest.warns(PluginWarning) as warned:
        registry = load_registry({"MMVAE_PLUGINS": "toys"})
    assert registry.find("codec", "toy").kind == "toy"
    [text] = [str(w.message) for w in warned if "toys" in str(w.message)]
    assert text == (
        "plugin toys (toy-plugin 1.0) took 5 s to import, as it will with every command. "
        "MMVAE_DISABLE_PLUGINS=toys leaves it out; its authors can import large modules inside "
        "the functions that use them."
    )


def test_a_name_that_two_distributions_have_is_nobodys(install) -> None:
    install("toy-plugin", "toys")
    install("bad-plugin", "toys", "raise KeyboardInterrupt")
    registry = load_registry(warn=False)
    ours = [plugin for plugin in registry.plugins if plugin.name == "toys"]
    assert [(plugin.distribution, plugin.state) for plugin in ours] == [
        ("bad-plugin", "broken"),
        ("toy-plugin", "broken"),
    ]
    for plugin in ours:
        assert plugin.error == (
            "several distributions have a plugin 'toys': bad-plugin, toy-plugin. "
            "Uninstall all but one, or name the others in MMVAE_DISABLE_PLUGINS"
        )


def test_nobody_takes_a_name_of_the_core(install) -> None:
    install("bad-plugin", "jmvae", "raise KeyboardInterrupt")
    registry = load_registry(warn=False)
    states = {p.distribution: p.state for p in registry.plugins if p.name == "jmvae"}
    assert states == {"mmvae": "ok", "bad-plugin": "broken"}
    assert registry.find("model", "jmvae").kind == "jmvae"


def test_a_plugin_that_is_interrupted_is_named(install) -> None:
    install("bad-plugin", "bad", "raise KeyboardInterrupt")
    with pytest.raises(KeyboardInterrupt) as caught:
        load_registry()
    assert str(caught.value) == (
        "while plugin bad (bad-plugin 1.0) was loaded; MMVAE_DISABLE_PLUGINS=bad leaves it out"
    )


def test_a_plugin_that_is_loaded_when_the_process_is_to_end_is_not_broken(install) -> None:
    stop = "from mmvae.foundations.errors import Terminated\nraise Terminated('stopped')"
    install("bad-plugin", "bad", stop)
    with pytest.raises(Terminated, match="stopped"):
        load_registry()


def test_what_a_plugin_offered_before_it_broke_is_not_used(install) -> None:
    install("toy-plugin", "toys")
    body = "register(type('Half', (Toy,), {'kind': 'half'})); 1 / 0"
    install("half-plugin", "half", SHELF.format(module="toy_plugin", body=body))
    registry = load_registry(warn=False)
    assert "half" not in registry.kinds("codec")
    with pytest.raises(PluginError, match="^codec 'half' is offered by plugin half .*Zero"):
        registry.find("codec", "half")


def test_a_kind_offered_twice_names_both_and_harms_only_itself(install) -> None:
    install("toy-plugin", "toys")
    install("copy-plugin", "copies", SHELF.format(module="toy_plugin", body="register(Toy)"))
    registry = load_registry()
    with pytest.raises(PluginError, match=r"copies \(copy-plugin 1.0\), toys \(toy-plugin 1.0\)"):
        registry.find("codec", "toy")
    assert registry.find("source", "toybox").kind == "toybox"
    [conflict] = registry.conflicts
    assert "copy-plugin" in conflict
    assert "toy-plugin" in conflict


def test_one_plugin_offering_a_kind_twice_is_broken(install) -> None:
    install("toy-plugin", "toys")
    body = "register(Toy); register(Toy)"
    install("twice-plugin", "twice", SHELF.format(module="toy_plugin", body=body))
    assert "two codecs of kind 'toy'" in info(load_registry(warn=False), "twice").error


def test_only_and_all_but(install) -> None:
    install("toy-plugin", "toys")
    install("bad-plugin", "bad", "raise SystemExit")
    only = load_registry({"MMVAE_PLUGINS": "toys"})
    assert (info(only, "toys").state, info(only, "bad").state) == ("ok", "disabled")
    assert info(only, "jmvae").state != "disabled", "the core's own are always heard"
    without = load_registry({"MMVAE_DISABLE_PLUGINS": "toys, bad"})
    assert (info(without, "toys").state, info(without, "bad").state) == ("disabled", "disabled")
    assert "toy" not in without.kinds("codec")


def test_a_disabled_plugin_is_not_imported_and_is_mentioned(install) -> None:
    install("bad-plugin", "bad", "raise KeyboardInterrupt")
    registry = load_registry({"MMVAE_DISABLE_PLUGINS": "bad"})
    with pytest.raises((ConfigError, PluginError), match="Disabled plugins: bad"):
        registry.find("codec", "nothing")


@pytest.mark.parametrize("variable", ["MMVAE_PLUGINS", "MMVAE_DISABLE_PLUGINS"])
def test_an_unknown_name_in_the_environment_is_an_error(install, variable: str) -> None:
    install("toy-plugin", "toys")
    with pytest.raises(
        UsageError, match=f"{variable} names 'toyz'.*Did you mean 'toys'"
    ) as caught:
        load_registry({variable: "toyz"})
    assert caught.value.exit_code == 2


def test_an_unknown_kind_gets_the_nearest_and_the_list(install) -> None:
    install("toy-plugin", "toys")
    toy = load_registry().find("codec", "toy")
    registry = Registry.of(codecs=[toy])
    with pytest.raises(ConfigError, match=r"offer: toy\. Did you mean 'toy'\?") as caught:
        registry.find("codec", "toi")
    assert caught.value.exit_code == 2
    assert "mmvae plugins list" in str(caught.value)


def test_a_registry_made_in_memory_checks_what_it_is_given() -> None:
    assert Registry.of().kinds("codec") == {}
    with pytest.raises(TypeError, match="expected a subclass"):
        Registry.of(codecs=[dict])  # type: ignore[list-item]


def test_no_extension_can_take_a_table_of_the_core() -> None:
    assert set(top_level()) == set(Experiment.model_fields)

"""A role is one row: a ninth, added here, is found, listed, configured, checked and recorded."""

from __future__ import annotations

import json
import tomllib
from abc import ABC, abstractmethod
from dataclasses import replace
from typing import Any, ClassVar

import pytest
from pydantic import BaseModel, ConfigDict, Field
from toys import toy_config, toy_registry

import mmvae
from mmvae.cli.main import run as command
from mmvae.experiments.config import load_experiment
from mmvae.experiments.config_schema import json_schema
from mmvae.foundations.errors import ConfigError, PluginError
from mmvae.inference.model_folder import load_model
from mmvae.plugins.loader import load_registry
from mmvae.plugins.registry import Registry
from mmvae.plugins.roles import ROLES, Role, top_level
from mmvae.runs.run import Run
from mmvae.testing.contract import require, require_offer
from mmvae.testing.plugin import SUITES
from mmvae.testing.suite import Suite


class NinthConfig(BaseModel):
    """The keys of every ninth."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Ninth(ABC):
    """The contract of the ninth role."""

    kind: ClassVar[str]
    Config: ClassVar[type[NinthConfig]] = NinthConfig

    def __init__(self, config: Any) -> None:
        self.config = config

    @abstractmethod
    def sweep(self) -> int: ...


class BroomConfig(NinthConfig):
    width: int = Field(3, ge=1, description="Hairs.")


class Broom(Ninth):
    kind = "broom"
    Config = BroomConfig

    def sweep(self) -> int:
        return self.config.width


class NinthContract(Suite):
    role = "ninth"
    ninth: ClassVar[type[Ninth] | None] = None

    def test_it_sweeps_as_wide_as_it_is(self) -> None:
        require_offer("ninth", self.ninth)
        config = self.make_config()
        require(self.ninth(config).sweep() == config.width, "its width", "another")


ROW = Role(
    "ninth",
    Ninth,
    "Offer ninths that ``[ninths.NAME] tool = …`` can name.",
    tables=("ninths",),
    key="tool",
    named=True,
    of_model=True,
)

PLUGIN = """
import mmvae
from pydantic import Field

mmvae_contract = 1


class Config(mmvae.Ninth.Config):
    width: int = Field(3, ge=1, description="Hairs.")


class Broom(mmvae.Ninth):
    kind = "broom"
    Config = Config

    def sweep(self):
        return self.config.width


@mmvae.hookimpl
def register_ninths(register):
    register({offered})
"""


@pytest.fixture
def row(monkeypatch: pytest.MonkeyPatch) -> Role:
    """The row, in the table of roles for one test."""
    monkeypatch.setitem(ROLES, "ninth", ROW)
    monkeypatch.setattr(mmvae, "Ninth", Ninth, raising=False)
    return ROW


@pytest.fixture
def plugin(row: Role, install, monkeypatch: pytest.MonkeyPatch):
    """``plugin(offered)``: a plugin that offers a ninth, alone beside the core."""

    def offer(offered: str = "Broom") -> None:
        install("nine-plugin", "nine", PLUGIN.format(offered=offered))
        monkeypatch.setenv("MMVAE_PLUGINS", "nine")

    return offer


def with_brooms() -> Registry:
    """The toys, and brooms of the ninth role."""
    return Registry([*toy_registry().plugins, *Registry.of(ninths=[Broom]).plugins])


def swept(**tables: Any) -> dict[str, Any]:
    """A config of the toys with these ninths."""
    return toy_config() | {"ninths": tables}


def test_there_are_eight() -> None:
    assert list(ROLES) == [
        "codec",
        "source",
        "maker",
        "model",
        "family",
        "extension",
        "metric",
        "observer",
    ]
    assert ROLES["family"].hook == "register_families"
    with pytest.raises(TypeError, match=r"no classes 'ninths'; expected some of codecs, sources"):
        Registry.of(ninths=[Broom])
    with pytest.raises(ConfigError, match="ninths: unknown table"):
        load_experiment(swept(one={"tool": "broom"}), registry=toy_registry())


def test_kinds_are_sorted(row: Role) -> None:
    brooms = [type("B", (Broom,), {"kind": kind}) for kind in ("c", "a", "b")]
    assert list(Registry.of(ninths=brooms).kinds("ninth")) == ["a", "b", "c"]


def test_no_config_can_take_a_key_that_the_row_says_is_taken(monkeypatch) -> None:
    monkeypatch.setitem(ROLES, "ninth", replace(ROW, taken=("width",)))
    with pytest.raises(TypeError, match="key 'width', which every ninth has from the core"):
        Registry.of(ninths=[Broom])
    assert {"subsets", "first_epoch"} <= set(ROLES["family"].taken)


def test_a_plugin_offers_it(plugin) -> None:
    plugin()
    registry = load_registry()
    assert registry.find("ninth", "broom").__name__ == "Broom"
    assert list(registry.kinds("ninth")) == ["broom"]
    assert registry.provider("ninth", "broom").distribution == "nine-plugin"
    with pytest.raises(ConfigError, match="unknown ninth 'brom'.*Did you mean 'broom'"):
        registry.find("ninth", "brom")


@pytest.mark.parametrize(
    ("offered", "said"),
    [
        ("dict", r"as a ninth: expected a subclass of <class '.*Ninth'>"),
        ("mmvae.Ninth", r"its ninth Ninth has kind None"),
        (
            "type('B', (Broom,), {'Config': mmvae.CodecConfig})",
            r"its ninth B has Config .*: expected a subclass of <class '.*NinthConfig'>",
        ),
        (
            "type('B', (Broom,), {'Config': type('C', (Config,), {'tool': 3, "
            "'__annotations__': {'tool': int}})})",
            "its ninth B has a Config with the key 'tool', which chooses the ninth",
        ),
        (
            "type('B', (mmvae.Ninth,), {'kind': 'b'})",
            "its ninth B leaves out what every ninth must define: sweep",
        ),
        ("Broom); register(Broom", "it registers two ninths of kind 'broom'"),
    ],
)
def test_what_is_offered_is_checked(plugin, offered: str, said: str) -> None:
    plugin(offered)
    with pytest.warns(mmvae.foundations.errors.PluginWarning, match=said):
        load_registry()


def test_its_hook_is_documented_and_its_mistakes_are_told(row: Role, install, monkeypatch) -> None:
    text = row.specification().__doc__ or ""
    assert "call ``register(ninth_class)`` once for each subclass of :class:`mmvae.Ninth`" in text
    code = "import mmvae\n@mmvae.hookimpl\ndef register_ninth(register): ..."
    install("nine-plugin", "nine", code)
    monkeypatch.setenv("MMVAE_PLUGINS", "nine")
    with pytest.warns(mmvae.foundations.errors.PluginWarning, match="mean 'register_ninths'"):
        load_registry()


def test_the_list_of_plugins_shows_it(plugin, capsys) -> None:
    plugin()
    assert command(["plugins", "list"]) == 0
    rows = [line.split(maxsplit=4) for line in capsys.readouterr().out.splitlines()]
    assert ["nine", "1.0", "nine-plugin", "ok", "ninth broom"] in rows
    assert command(["plugins", "list", "--json"]) == 0
    plugins = {p["name"]: p for p in json.loads(capsys.readouterr().out)["plugins"]}
    assert plugins["nine"]["offers"] == [{"role": "ninth", "kind": "broom"}]


def test_a_config_has_its_tables(row: Role) -> None:
    loaded = load_experiment(swept(one={"tool": "broom", "width": 5}), registry=with_brooms())
    assert loaded.experiment.ninths["one"].width == 5
    assert loaded.values["ninths"] == {"one": {"tool": "broom", "width": 5}}
    assert list(loaded.values["ninths"]["one"]) == ["tool", "width"]
    again = load_experiment(tomllib.loads(loaded.resolved_toml()), registry=with_brooms())
    assert (again.experiment, again.hash) == (loaded.experiment, loaded.hash)
    bare = load_experiment(toy_config(), registry=with_brooms())
    assert bare.experiment.ninths == {}
    assert "ninths" not in bare.values
    assert loaded.hash != bare.hash, "the row says that it is trained"
    definitions = json_schema(with_brooms())["$defs"]
    assert definitions["BroomNinth"]["properties"]["tool"]["const"] == "broom"
    assert definitions["BroomNinth"]["additionalProperties"] is False


def test_it_is_no_part_of_the_hash_if_the_row_says_that_it_is_not_trained(monkeypatch) -> None:
    monkeypatch.setitem(ROLES, "ninth", replace(ROW, trained=False))
    loaded = load_experiment(swept(one={"tool": "broom"}), registry=with_brooms())
    assert loaded.hash == load_experiment(toy_config(), registry=with_brooms()).hash


@pytest.mark.parametrize(
    ("tables", "said"),
    [
        ({"one": {"tool": "brom"}}, "ninths.one.tool = .brom.: unknown ninth 'brom'.*'broom'"),
        ({"one": {}}, "ninths.one.tool: this key is required; expected one of: broom"),
        ({"one": {"tool": "broom", "width": 0}}, "ninths.one.width = 0: expected a number >= 1"),
        ({"one": {"tool": "broom", "wide": 1}}, "ninths.one.wide = 1: unknown key.*'width'"),
        ({"a b": {"tool": "broom"}}, "expected a name of the letters"),
    ],
)
def test_mistakes_in_its_tables_are_told_by_key(row: Role, tables, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        load_experiment(swept(**tables), registry=with_brooms())


def test_it_may_have_one_table_with_a_default(monkeypatch) -> None:
    row = replace(ROW, tables=("ninth",), named=False, default="broom")
    monkeypatch.setitem(ROLES, "ninth", row)
    given = load_experiment(toy_config() | {"ninth": {"width": 2}}, registry=with_brooms())
    assert given.values["ninth"] == {"tool": "broom", "width": 2}
    without = load_experiment(toy_config(), registry=with_brooms())
    assert without.experiment.ninth is None
    assert {"type": "null"} in json_schema(with_brooms())["properties"]["ninth"]["anyOf"]
    with pytest.raises(ConfigError, match="ninth.tool: unknown ninth 'broom'"):
        load_experiment(toy_config() | {"ninth": {"width": 2}}, registry=toy_registry())
    with pytest.raises(ConfigError, match="ninth.width = 0: expected a number >= 1"):
        load_experiment(toy_config() | {"ninth": {"width": 0}}, registry=with_brooms())


def test_no_extension_can_take_its_table(row: Role) -> None:
    assert "ninths" in top_level()
    taker = type("Taker", (mmvae.Extension,), {"kind": "ninths"})
    with pytest.raises(TypeError, match="cannot name a table of its own.*ninths"):
        Registry.of(extensions=[taker])


def test_its_suite_is_run(plugin, monkeypatch, capsys) -> None:
    plugin()
    monkeypatch.setitem(SUITES, "ninth", NinthContract)
    assert command(["plugins", "check", "broom", "-s", "width=4"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "ninth broom of nine (nine-plugin 1.0)",
        "  ok         it sweeps as wide as it is",
    ]


@pytest.mark.parametrize("of_model", [True, False])
def test_a_run_and_its_model_record_it(tmp_path, monkeypatch, of_model: bool) -> None:
    monkeypatch.setitem(ROLES, "ninth", replace(ROW, of_model=of_model))
    config = swept(one={"tool": "broom"})
    mmvae.train(config, run_dir=tmp_path / "run", registry=with_brooms())
    memory = {"distribution": "memory", "version": "0", "plugin": "memory"}
    assert Run.open(tmp_path / "run").plugins()["ninth broom"] == memory
    if of_model:
        with pytest.raises(PluginError, match="ninth 'broom' of memory 0: it was passed in"):
            load_model(tmp_path / "run" / "model", toy_registry())
    else:
        assert load_model(tmp_path / "run" / "model", toy_registry())

"""A run and a model say with which plugins they were made; elsewhere it is told what differs."""

from __future__ import annotations

import json
import shutil
import warnings

import pytest
from toys import toy_config

import mmvae
from mmvae.foundations.errors import CheckpointError, ConfigError, PluginError, PluginWarning
from mmvae.plugins.loader import load_registry
from mmvae.plugins.provenance import require_plugins
from mmvae.plugins.registry import Registry

MINE = """
import mmvae
from toys import ClassCodec, ToySource, VectorCodec

mmvae_contract = 1


@mmvae.hookimpl
def register_codecs(register):
    register(VectorCodec)
    {more}


@mmvae.hookimpl
def register_sources(register):
    register(ToySource)
"""


@pytest.fixture
def plugin(install, site, monkeypatch):
    """``plugin(version)``: the distribution ``my-plugin``, the only one beside the core."""

    def write(version: str = "1.0", more: str = "register(ClassCodec)", code: str = MINE) -> None:
        for old in site.iterdir():
            shutil.rmtree(old) if old.is_dir() else old.unlink()
        install("my-plugin", "mine", code.format(more=more))
        metadata = site / "my_plugin-1.0.dist-info" / "METADATA"
        metadata.write_text(metadata.read_text().replace("Version: 1.0", f"Version: {version}"))

    monkeypatch.setenv("MMVAE_PLUGINS", "mine")
    write()
    return write


@pytest.fixture
def run(plugin, tmp_path):
    mmvae.train(toy_config(train={"epochs": 1}), run_dir=tmp_path / "run")
    return tmp_path / "run"


def test_a_run_and_its_model_record_their_plugins(run) -> None:
    mine = {"distribution": "my-plugin", "version": "1.0", "plugin": "mine"}
    lock = json.loads((run / "plugins.lock.json").read_text())
    assert lock["source toy"] == lock["codec toy-vector"] == mine
    carried = json.loads((run / "model" / "state.json").read_text())["plugins"]
    assert set(carried) == {"codec toy-vector", "codec toy-class", "model jmvae"}
    assert carried["codec toy-class"] == mine
    assert carried["model jmvae"]["distribution"] == "mmvae"


@pytest.mark.parametrize("folder", ["run", "run/model"])
def test_another_version_is_told_and_used(run, plugin, folder) -> None:
    plugin(version="2.0")
    with pytest.warns(PluginWarning) as warned:
        mmvae.load(run.parent / folder)
    assert {str(w.message) for w in warned} == {
        f"{run.parent / folder} was made with codec {kind!r} of my-plugin 1.0; here it is that of "
        f"my-plugin 2.0, which may give other results. For the same one: pip install "
        f"my-plugin==1.0"
        for kind in ("toy-vector", "toy-class")
    }


def test_what_is_missing_is_named_with_how_to_get_it(run, plugin, site, monkeypatch) -> None:
    plugin(version="2.0", more="...")
    with pytest.raises(PluginError) as caught, pytest.warns(PluginWarning):
        mmvae.load(run)
    assert caught.value.exit_code == 3
    assert str(caught.value) == (
        f"{run} needs plugins that are not available. codec 'toy-class' of my-plugin 1.0: 2.0 is "
        f"installed, "
        f"which does not offer it; pip install my-plugin==1.0."
    )
    shutil.rmtree(site)
    monkeypatch.delenv("MMVAE_PLUGINS")
    for use in (mmvae.load, mmvae.resume, mmvae.evaluate):
        with pytest.raises(PluginError) as caught:
            use(run)
        assert "codec 'toy-class' of my-plugin 1.0: not installed; pip install" in str(
            caught.value
        )


def test_a_kind_that_two_plugins_offer_is_told_as_such(run, plugin, install, monkeypatch) -> None:
    install("other-plugin", "other", MINE.format(more="..."))
    monkeypatch.setenv("MMVAE_PLUGINS", "mine,other")
    with pytest.raises(PluginError) as caught:
        mmvae.load(run)
    assert (
        f"{run} needs plugins that are not available. codec 'toy-vector' is offered by 2 plugins: "
        f"mine (my-plugin 1.0), other (other-plugin 1.0). Uninstall all but one"
    ) in str(caught.value)
    assert "does not offer it" not in str(caught.value)


def test_what_is_broken_or_disabled_is_named(run, plugin, monkeypatch) -> None:
    plugin(code="import surely_not_installed  # {more}")
    with pytest.raises(PluginError, match="is broken: the module 'surely_not_installed'"):
        require_plugins(
            json.loads((run / "plugins.lock.json").read_text()), load_registry(warn=False), run
        )
    monkeypatch.setenv("MMVAE_DISABLE_PLUGINS", "mine")
    with pytest.raises(PluginError, match=r"mine \(my-plugin 1\.0\) is disabled"):
        mmvae.load(run)


def test_a_resumed_run_records_the_plugins_that_it_went_on_with(run, plugin) -> None:
    plugin(version="2.0")
    with pytest.warns(PluginWarning, match="For the same one"):
        mmvae.resume(run, overrides=["train.epochs=2"])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        mmvae.load(run)
    assert '"2.0"' in (run / "plugins.lock.json").read_text()


def test_a_config_is_no_run_and_an_unknown_word_of_it_a_mistake(plugin) -> None:
    with pytest.raises(ConfigError, match="unknown codec 'tree'"):
        mmvae.train(toy_config(modalities={"v": {"codec": "tree"}}))


@pytest.mark.parametrize("record", [{"codec toy": 3}, {"codec toy": {"distribution": "x"}}])
def test_a_record_that_cannot_be_read_is_an_error(record) -> None:
    with pytest.raises(CheckpointError, match="here: its record of plugins cannot be read"):
        require_plugins(record, Registry.of(), "here")


@pytest.mark.parametrize("offer", ["dream x", "codec", ""])
def test_a_role_of_a_version_to_come_is_missing(offer) -> None:
    maker = {"distribution": "d", "version": "1", "plugin": "p"}
    with pytest.raises(PluginError, match="not installed; pip install d==1"):
        require_plugins({offer: maker}, Registry.of(), "here")


def test_the_first_of_very_many_missing_plugins_are_named() -> None:
    maker = {"distribution": "x" * 100_000, "version": "1", "plugin": "p"}
    record = {f"codec c{i}": maker for i in range(10_000)}
    with pytest.raises(PluginError, match=r"These are 20 of 10,000\.") as error:
        require_plugins(record, Registry.of(), "run")
    assert len(str(error.value)) < 25_000

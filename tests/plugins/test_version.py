"""A plugin states the version it was written for, and other versions are told what changed."""

from __future__ import annotations

import pytest

import mmvae
from conftest import TOY
from mmvae.foundations.errors import PluginError
from mmvae.plugins import version
from mmvae.plugins.loader import load_registry
from mmvae.plugins.version import CHANGES, STATEMENT, VERSION, Change, check_version

OF_VERSION = TOY.replace("mmvae_contract = 1", "mmvae_contract = {version}")


def state_and_error(name: str) -> tuple[str, str]:
    [plugin] = [p for p in load_registry(warn=False).plugins if p.name == name]
    return plugin.state, plugin.error


def test_a_plugin_of_this_version_runs(install) -> None:
    install("toy-plugin", "toys", OF_VERSION.format(version=VERSION))
    registry = load_registry({"MMVAE_PLUGINS": "toys"})
    assert registry.provider("codec", "toy").contract == VERSION == 1


def test_a_plugin_of_version_0_is_told_exactly_what_changed_and_is_not_run(install) -> None:
    install("old-plugin", "old", f"{OF_VERSION.format(version=0)}\nraise KeyboardInterrupt")
    assert state_and_error("old") == (
        "broken",
        "it is written for version 0 of the plugin contract; mmvae 0.1.0 supports version 1. "
        "Upgrade it: pip install --upgrade old-plugin. Changes for its authors: "
        "changed Codec.fit: its column may be unread; take rows, then column.read(); "
        "changed Codec.missing: it is also the fill value of single cells that are not observed; "
        "changed Model.likelihood: it takes the given modalities as a last argument, given=None; "
        "changed Model.log_likelihood: it takes observed=None and given=None as last arguments; "
        "added mmvae_contract: the plugin's module states the version it was written for: "
        "mmvae_contract = 1",
    )


def test_a_plugin_of_a_version_to_come_is_refused_with_what_to_upgrade(install) -> None:
    install("new-plugin", "new", f"{OF_VERSION.format(version=2)}\nraise KeyboardInterrupt")
    assert state_and_error("new") == (
        "broken",
        "it is written for version 2 of the plugin contract; mmvae 0.1.0 supports version 1. "
        "Upgrade mmvae: pip install --upgrade mmvae",
    )


def test_a_plugin_that_states_none_counts_as_of_the_first(install, monkeypatch) -> None:
    install("toy-plugin", "toys", TOY.replace("mmvae_contract = 1", ""))
    assert state_and_error("toys") == ("ok", "")
    monkeypatch.setattr(version, "VERSION", 2)
    monkeypatch.setattr(version, "CHANGES", {**CHANGES, 2: (Change("removed", "Codec.x", "-"),)})
    state, error = state_and_error("toys")
    assert state == "broken"
    assert error.endswith("Changes for its authors: removed Codec.x: -")


@pytest.mark.parametrize("statement", ["mmvae_contract: int = 0", "a = mmvae_contract = 0"])
def test_a_statement_may_be_written_in_any_way_that_names_a_number(install, statement) -> None:
    install("old-plugin", "old", statement)
    assert state_and_error("old")[1].startswith("it is written for version 0")


def test_the_module_of_an_object_states_it(install, site) -> None:
    install("old-plugin", "old", "mmvae_contract = 0")
    file = site / "old_plugin-1.0.dist-info" / "entry_points.txt"
    file.write_text("[mmvae]\nold = old_plugin:nothing\n")
    assert state_and_error("old")[1].startswith("it is written for version 0")


def test_changes_are_listed_for_each_version_and_name_what_there_is() -> None:
    assert sorted(CHANGES) == list(range(1, VERSION + 1))
    for change in (change for changes in CHANGES.values() for change in changes):
        if change.what == STATEMENT:
            continue
        thing: object = mmvae
        for part in change.what.split("."):
            there = hasattr(thing, part)
            assert there is (change.how != "removed"), change
            thing = getattr(thing, part)


def test_several_versions_are_told_in_turn(monkeypatch) -> None:
    later = {**CHANGES, 2: (Change("removed", "Codec.x", "use y"),)}
    monkeypatch.setattr(version, "VERSION", 2)
    monkeypatch.setattr(version, "CHANGES", later)
    with pytest.raises(PluginError, match=r"changed Codec\.fit: .*; removed Codec\.x: use y$"):
        check_version(0, "old-plugin")
    with pytest.raises(PluginError, match=r"Changes for its authors: removed Codec\.x: use y$"):
        check_version(1, "old-plugin")
    check_version(2, "new-plugin")

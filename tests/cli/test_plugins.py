"""``mmvae plugins list`` shows what is installed, and blames what is broken, with exit code 0."""

from __future__ import annotations


def test_list_shows_offers_states_and_causes(mmvae, config, install, monkeypatch) -> None:
    install("bad-plugin", "bad", "import surely_not_installed")
    install("sad-plugin", "sad")
    monkeypatch.delenv("MMVAE_PLUGINS")
    monkeypatch.setenv("MMVAE_DISABLE_PLUGINS", "sad")
    result = mmvae("plugins", "list")
    assert result.code == 0
    rows = {line.split()[0]: line.split(maxsplit=4) for line in result.out.splitlines() if line}
    assert rows["toys"] == ["toys", "1.0", "toy-plugin", "ok", "codec toy, source toybox"]
    assert rows["bad"] == ["bad", "1.0", "bad-plugin", "broken"]
    assert rows["sad"] == ["sad", "1.0", "sad-plugin", "disabled"]
    assert rows["jmvae"][2] == "mmvae"
    assert "broken: bad (bad-plugin 1.0): the module 'surely_not_installed'" in result.out
    assert "disabled: sad (sad-plugin 1.0): in MMVAE_DISABLE_PLUGINS" in result.out
    assert "Traceback" not in result.out
    assert "Traceback" in mmvae("plugins", "list", "--traceback").out


def test_list_as_json(mmvae, config, install, monkeypatch) -> None:
    install("bad-plugin", "bad", "raise SystemExit(4)")
    monkeypatch.setenv("MMVAE_PLUGINS", "toys,bad")
    result = mmvae("plugins", "list", "--json")
    assert result.code == 0
    plugins = {plugin["name"]: plugin for plugin in result.json()["plugins"]}
    assert plugins["toys"]["offers"] == [
        {"role": "codec", "kind": "toy"},
        {"role": "source", "kind": "toybox"},
    ]
    assert plugins["bad"]["state"] == "broken"
    assert "SystemExit: 4" in plugins["bad"]["traceback"]


def test_list_reports_conflicts(mmvae, config, install, monkeypatch) -> None:
    install("second-toys", "more-toys")
    install("usurper", "train", "", group="mmvae.commands")
    monkeypatch.setenv("MMVAE_PLUGINS", "toys,more-toys")
    result = mmvae("plugins", "list")
    assert result.code == 0
    assert "conflict: codec 'toy' is offered by 2 plugins" in result.out
    assert "second-toys" in result.out
    assert "conflict: command 'train': usurper offers it" in result.out
    result = mmvae("config", "check", config)
    assert result.code == 3
    assert "codec 'toy' is offered by 2 plugins" in result.err


def test_a_wrong_name_in_the_environment_ends_with_2(mmvae, config, monkeypatch) -> None:
    monkeypatch.setenv("MMVAE_PLUGINS", "tois")
    result = mmvae("plugins", "list")
    assert result.code == 2
    assert "MMVAE_PLUGINS names 'tois'" in result.err

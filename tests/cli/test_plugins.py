"""``mmvae plugins list`` shows what is installed, and blames what is broken, with exit code 0."""

from __future__ import annotations

import pytest

from conftest import TOY

COMMAND = """
import click

@click.command()
def command():
    '''Hum a song.'''
"""


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
    assert (
        "\nplugin bad (bad-plugin 1.0) is broken: the module 'surely_not_installed' that it needs "
        "is not installed. Repair it (pip install --upgrade bad-plugin), uninstall it, or leave "
        "it out with MMVAE_DISABLE_PLUGINS=bad; `mmvae plugins list --traceback` shows more.\n"
    ) in result.out
    assert (
        "\nplugin sad (sad-plugin 1.0) is disabled: MMVAE_DISABLE_PLUGINS names it.\n"
    ) in result.out
    assert result.err == "", "what the list says is not said again"
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
    monkeypatch.setenv("MMVAE_PLUGINS", "toys,more-toys,usurper")
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


def test_list_shows_commands_with_the_distribution_that_brings_them(
    mmvae, config, install, monkeypatch
) -> None:
    install("toy-plugin", "play", f"{TOY}{COMMAND}", group="mmvae.commands")
    install("only-commands", "hum", COMMAND, group="mmvae.commands")
    install("only-commands", "sing", COMMAND, group="mmvae.figures")
    monkeypatch.setenv("MMVAE_PLUGINS", "toys,only-commands")
    rows = [line.split(maxsplit=4) for line in mmvae("plugins", "list").out.splitlines() if line]
    assert ["toys", "1.0", "toy-plugin", "ok", "codec toy, source toybox"] in rows
    assert ["-", "1.0", "toy-plugin", "ok", "command play"] in rows
    assert ["-", "1.0", "only-commands", "ok", "command hum, figure sing"] in rows


def test_broken_commands_of_a_distribution_are_told_once_with_their_cause(
    mmvae, config, install, monkeypatch
) -> None:
    install("only-commands", "hum", "import surely_not_installed", group="mmvae.commands")
    install("only-commands", "sing", "import surely_not_installed", group="mmvae.figures")
    monkeypatch.setenv("MMVAE_PLUGINS", "toys,only-commands")
    result = mmvae("plugins", "list")
    assert result.code == 0
    rows = [line.split(maxsplit=4) for line in result.out.splitlines() if line]
    assert ["-", "1.0", "only-commands", "broken", "command hum, figure sing"] in rows
    assert result.out.count("surely_not_installed") == 1
    assert (
        "\ncommand 'hum', figure 'sing' (only-commands 1.0) are broken: the module "
        "'surely_not_installed' that it needs is not installed. Repair it (pip install --upgrade "
        "only-commands), uninstall it, or leave it out with MMVAE_DISABLE_PLUGINS=only-commands; "
        "`mmvae plugins list --traceback` shows more.\n"
    ) in result.out
    assert "Traceback" in mmvae("plugins", "list", "--traceback").out
    found = mmvae("plugins", "list", "--json").json()["commands"]
    [hum, sing] = [command for command in found if command["distribution"] == "only-commands"]
    assert (hum["role"], hum["name"], hum["state"]) == ("command", "hum", "broken")
    assert (sing["role"], sing["distribution"]) == ("figure", "only-commands")
    assert mmvae("config", "check", config).err == "", "no other command is troubled"


@pytest.mark.parametrize(
    "switch",
    [
        {"MMVAE_DISABLE_PLUGINS": "only-commands"},
        {"MMVAE_PLUGINS": "toys"},
        {"MMVAE_PLUGINS": "toys,only-commands", "MMVAE_DISABLE_PLUGINS": "only-commands"},
    ],
)
def test_switches_reach_distributions_that_bring_commands_alone(
    mmvae, config, install, monkeypatch, switch
) -> None:
    install("only-commands", "hum", COMMAND, group="mmvae.commands")
    install("only-commands", "sing", COMMAND, group="mmvae.figures")
    monkeypatch.delenv("MMVAE_PLUGINS")
    assert mmvae("hum").code == mmvae("figures", "sing").code == 0
    for variable, names in switch.items():
        monkeypatch.setenv(variable, names)
    assert "hum" not in mmvae("--help").out
    result = mmvae("hum")
    assert result.code == 3
    reason = next(reversed(switch)) + (
        " names it" if "MMVAE_DISABLE_PLUGINS" in switch else " does not name it"
    )
    assert result.err == f"error: command 'hum' (only-commands 1.0) is disabled: {reason}.\n"
    assert mmvae("figures", "sing").code == 3
    assert mmvae("plugins", "check", "only-commands").code == 3
    listed = mmvae("plugins", "list").out
    assert f"command 'hum', figure 'sing' (only-commands 1.0) are disabled: {reason}." in listed


@pytest.mark.parametrize(("names", "there"), [("toys", False), ("toy-plugin", False), ("x", True)])
def test_commands_go_with_the_plugins_of_their_distribution(
    mmvae, install, monkeypatch, names, there
) -> None:
    install("toy-plugin", "toys", f"{TOY}{COMMAND}")
    install("toy-plugin", "play", f"{TOY}{COMMAND}", group="mmvae.commands")
    install("x-plugin", "x")
    monkeypatch.delenv("MMVAE_PLUGINS", raising=False)
    monkeypatch.setenv("MMVAE_DISABLE_PLUGINS", names)
    assert (mmvae("play").code == 0) is there
    monkeypatch.delenv("MMVAE_DISABLE_PLUGINS")
    monkeypatch.setenv("MMVAE_PLUGINS", names)
    assert (mmvae("play").code == 0) is not there


@pytest.mark.parametrize("metadata", [None, ""])
def test_distributions_without_metadata_are_listed_all_the_same(
    mmvae, config, install, site, monkeypatch, metadata
) -> None:
    install("toy-plugin", "play", group="mmvae.commands")
    install("only-commands", "hum", "", group="mmvae.commands")
    monkeypatch.delenv("MMVAE_PLUGINS")
    for file in site.glob("*/METADATA"):
        file.unlink() if metadata is None else file.write_text(metadata)
    assert "hum  " in mmvae("--help").out
    result = mmvae("plugins", "list")
    assert result.code == 0
    [row] = [line.split(maxsplit=4) for line in result.out.splitlines() if line[:4] == "toys"]
    assert row[:4] == ["toys", "unknown", "unknown", "ok"]
    assert mmvae("plugins", "list", "--json").code == 0


def test_a_broken_plugin_is_told_once_and_harms_no_command_that_can_do_without(
    mmvae, config, install, monkeypatch
) -> None:
    install("bad-plugin", "bad", "raise SystemExit(4)")
    monkeypatch.setenv("MMVAE_PLUGINS", "toys,bad")
    result = mmvae("config", "check", config)
    assert result.code == 0
    assert result.err.count("bad (bad-plugin 1.0)") == 1
    assert result.err.startswith(
        "warning: plugin bad (bad-plugin 1.0) is broken: it ends the program when it is imported "
        "(SystemExit: 4). Repair it (pip install --upgrade bad-plugin), uninstall it, or leave it "
        "out with MMVAE_DISABLE_PLUGINS=bad;"
    )
    assert mmvae("--quiet", "config", "check", config).err == ""
    config.write_text(config.read_text().replace('"toy"', '"zebra"'))
    result = mmvae("config", "check", config)
    assert result.code == 3
    assert (
        f"error: {config}:6: modalities.a.codec = \"zebra\": unknown codec 'zebra'" in result.err
    )
    assert result.err.count("SystemExit: 4") == 1, "the warning's words are not said again"
    assert result.err.endswith(
        "A broken plugin may have offered it: bad (bad-plugin 1.0), see the warning above.\n"
    )
    result = mmvae("--quiet", "config", "check", config)
    assert (
        "A broken plugin may have offered it: bad (bad-plugin 1.0) is broken: it ends the program "
        "when it is imported (SystemExit: 4). Repair it (pip install --upgrade bad-plugin)"
    ) in result.err


def test_ctrl_c_while_a_plugin_is_loaded_names_it(mmvae, config, install, monkeypatch) -> None:
    install("bad-plugin", "bad", "raise KeyboardInterrupt")
    monkeypatch.setenv("MMVAE_PLUGINS", "toys,bad")
    result = mmvae("config", "check", config)
    assert result.code == 130
    assert result.err.lstrip() == (
        "error: interrupted while plugin bad (bad-plugin 1.0) was loaded; "
        "MMVAE_DISABLE_PLUGINS=bad leaves it out.\n"
    )

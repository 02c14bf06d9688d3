"""``mmvae plugins check`` prints a line for each check and ends with 3 if one fails."""

from __future__ import annotations

import re

import pytest

OFFER = """
import mmvae
from testing.gallery import {name}

mmvae_contract = 1


@mmvae.hookimpl
def register_codecs(register):
    register({name})
"""

UNTRIED = """
import mmvae
from toys import VectorCodec

mmvae_contract = 1


@mmvae.hookimpl
def register_codecs(register):
    register(VectorCodec)
"""

EXITS = """
import mmvae
from testing.gallery import Sound

mmvae_contract = 1


class Exits(Sound):
    @classmethod
    def examples(cls):
        raise SystemExit(7)


@mmvae.hookimpl
def register_codecs(register):
    register(Exits)
"""

SOURCES = """
import mmvae
from pydantic import Field
from toys import ToyConfig, ToySource

mmvae_contract = 1


class Config(ToyConfig):
    root: str = Field(description="Folder.")


class Rooted(ToySource):
    kind = "rooted"
    Config = Config


@mmvae.hookimpl
def register_sources(register):
    register(ToySource)
    register(Rooted)
"""

OTHERS = """
import mmvae

mmvae_contract = 1


class Even(mmvae.Metric):
    kind = "even"
    about = "Nothing."

    def measure(self, specimen):
        return {"even": specimen.real("b")[:, 0]}


class Odd(mmvae.Observer):
    kind = "odd"

    def look(self, watched):
        return {"odd": watched.epoch}


class Quiet(mmvae.Extension):
    kind = "quiet"


class Numbers(mmvae.Maker):
    kind = "numbers"

    def make(self, rows):
        for row in rows:
            yield f"{row}.txt", str(row).encode()

    def finish(self):
        yield "end.txt", b""


@mmvae.hookimpl
def register_metrics(register):
    register(Even)


@mmvae.hookimpl
def register_observers(register):
    register(Odd)


@mmvae.hookimpl
def register_extensions(register):
    register(Quiet)


@mmvae.hookimpl
def register_makers(register):
    register(Numbers)
"""

COMMAND = """
import click

mmvae_contract = 1


@click.command()
@click.option("--loud", is_flag=True{help})
def command(loud):
    '''Hum a song.'''
"""


@pytest.fixture
def only(install, monkeypatch):
    """``only(code)``: a plugin ``mine`` of the distribution ``my-plugin``, and no other."""

    def offer(code: str) -> None:
        install("my-plugin", "mine", code)
        monkeypatch.setenv("MMVAE_PLUGINS", "mine")

    return offer


@pytest.mark.parametrize("name", ["sound", "mine", "my-plugin"])
def test_a_sound_codec_by_kind_plugin_or_distribution(mmvae, only, name) -> None:
    only(OFFER.format(name="Sound"))
    result = mmvae("plugins", "check", name)
    assert result.code == 0, result.out + result.err
    head, *lines = result.out.splitlines()
    assert head == "codec sound of mine (my-plugin 1.0)"
    assert "  ok         total probability is one" in lines
    assert all(line.startswith("  ok ") for line in lines)


def test_a_broken_codec_ends_with_3_and_says_what_was_wanted_and_got(mmvae, only) -> None:
    only(OFFER.format(name="NotNormalised"))
    result = mmvae("plugins", "check", "sound")
    assert result.code == 3
    [failed] = [line for line in result.out.splitlines() if not line.startswith("  ok")][1:]
    assert failed.startswith("  FAILED     total probability is one: Wanted a total probability")
    assert "; got " in failed
    assert re.search(r"sound breaks the contract: 1 of \d+ checks failed\.", result.err)


def test_as_json(mmvae, only) -> None:
    only(OFFER.format(name="ShowsTensors"))
    result = mmvae("plugins", "check", "sound", "--json")
    assert result.code == 3
    [one] = result.json()["checked"]
    assert (one["role"], one["kind"], one["plugin"], one["distribution"], one["version"]) == (
        "codec",
        "sound",
        "mine",
        "my-plugin",
        "1.0",
    )
    broken = [check["check"] for check in one["checks"] if check["state"] == "broken"]
    assert broken == ["test_show_gives_one_thing_per_item"]


def test_a_codec_without_examples_is_not_called_sound(mmvae, only) -> None:
    only(UNTRIED)
    result = mmvae("plugins", "check", "toy-vector")
    assert result.code == 2
    assert "not tried  it brings no examples: define the classmethod examples" in result.out
    assert "nothing of 'toy-vector' was tried" in result.err


def test_keys_without_defaults_are_given_by_s(mmvae, only) -> None:
    only(SOURCES)
    result = mmvae("plugins", "check", "my-plugin")
    assert result.code == 0, result.out
    assert "source rooted of mine (my-plugin 1.0)\n  not tried  give its keys" in result.out
    assert "-s root=…" in result.out
    result = mmvae("plugins", "check", "rooted", "-s", "root=here")
    assert result.code == 0, result.out
    assert "  ok         ids are unique" in result.out
    result = mmvae("plugins", "check", "rooted", "-s", "root=here", "-s", "items=many")
    assert result.code == 2
    assert "source rooted: items: Input should be a valid integer" in result.err


def test_the_model_of_the_core_is_checked_as_any_other(mmvae, only) -> None:
    only(SOURCES)
    result = mmvae("plugins", "check", "jmvae", "-s", "fusion_dim=8")
    assert result.code == 0, result.out
    assert "  ok         the bound rises with samples" in result.out


def test_unknown_names_and_broken_plugins(mmvae, only, install, monkeypatch) -> None:
    only(OFFER.format(name="Sound"))
    result = mmvae("plugins", "check", "sounds")
    assert result.code == 2
    assert (
        "'sounds' is no installed kind, plugin, distribution or command. Did you mean"
        in result.err
    )
    install("bad-plugin", "bad", "import surely_not_installed")
    monkeypatch.setenv("MMVAE_PLUGINS", "mine,bad")
    for name in ("bad", "bad-plugin"):
        result = mmvae("plugins", "check", name)
        assert result.code == 3
        assert "plugin bad (bad-plugin 1.0) is broken: the module" in result.err
    result = mmvae("plugins", "check", "sounds")
    assert result.code == 3
    assert "A broken plugin may have offered it: bad (bad-plugin 1.0)" in result.err


def test_a_kind_that_two_plugins_offer_is_refused(mmvae, only, install, monkeypatch) -> None:
    only(OFFER.format(name="Sound"))
    install("other-plugin", "other", OFFER.format(name="ShowsTensors"))
    monkeypatch.setenv("MMVAE_PLUGINS", "mine,other")
    result = mmvae("plugins", "check", "sound")
    assert result.code == 3
    assert "codec 'sound' is offered by 2 plugins" in result.err


def test_examples_that_fail_are_a_finding(mmvae, only) -> None:
    only(EXITS)
    result = mmvae("plugins", "check", "sound")
    assert result.code == 3
    assert "FAILED     examples: Wanted examples and a Config; got SystemExit: 7" in result.out


def test_a_plugin_that_states_no_version_of_the_contract_is_told_to(mmvae, only) -> None:
    only(OFFER.format(name="Sound").replace("mmvae_contract = 1", ""))
    result = mmvae("plugins", "check", "sound")
    assert result.code == 0
    assert result.out.splitlines()[1] == (
        "  remark     it does not say for which version of the contract it was written: put "
        "mmvae_contract = 1 into the module of its entry point"
    )
    [one] = mmvae("plugins", "check", "sound", "--json").json()["checked"]
    assert one["contract"] is None
    assert "mmvae_contract = 1" in one["remark"]


def test_every_role_is_tried(mmvae, only) -> None:
    only(OTHERS)
    result = mmvae("plugins", "check", "mine")
    assert result.code == 3
    heads = [line for line in result.out.splitlines() if line and not line.startswith(" ")]
    origin = "of mine (my-plugin 1.0)"
    roles = ("maker numbers", "extension quiet", "metric even", "observer odd")
    assert heads == [f"{role} {origin}" for role in roles]
    [failed] = [line for line in result.out.splitlines() if "FAILED" in line]
    assert failed == (
        "  FAILED     looks give figures with errors: Wanted 'odd': (value, standard error or "
        "None), both floats; got 1."
    )


@pytest.mark.parametrize("name", ["hummers", "hum"])
def test_commands_are_checked_by_their_name_or_distribution(mmvae, only, install, name) -> None:
    install("hummers", "hum", COMMAND.format(help=", help='Sing it.'"), group="mmvae.commands")
    install("hummers", "song", COMMAND.format(help=""), group="mmvae.figures")
    result = mmvae("plugins", "check", name)
    assert result.out.startswith(
        "command hum of hummers 1.0\n"
        "  ok         help can be printed\n"
        "  FAILED     help says what it does: Wanted help of --loud; got none.\n"
        "  ok         it is a command\n"
    )
    assert ("figure song of hummers 1.0" in result.out) is (name == "hummers")
    assert result.code == 3


def test_a_command_that_cannot_be_loaded_fails_its_check_with_the_cause(mmvae, install) -> None:
    install("hummers", "hum", "import surely_not_installed", group="mmvae.commands")
    install("singers", "sing", COMMAND.format(help=", help='Sing it.'"), group="mmvae.commands")
    result = mmvae("plugins", "check", "hummers")
    assert result.code == 3
    assert (
        "  FAILED     it is a command: Wanted a click command; got command 'hum' (hummers 1.0) is "
        "broken: the module 'surely_not_installed' that it needs is not installed."
    ) in result.out
    assert "hummers breaks the contract: 1 of 1 checks failed." in result.err
    assert mmvae("plugins", "check", "singers").code == 0
    assert "Did you mean 'hummers'" in mmvae("plugins", "check", "hummer").err

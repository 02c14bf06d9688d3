"""The contract of commands: sound ones keep it, and each mistake breaks the check meant for it."""

from __future__ import annotations

import re

import click
import pytest

from mmvae.testing import CommandContract, violations


@click.command()
@click.argument("run")
@click.option("--loud", is_flag=True, help="Sing it.")
@click.option("--secret", hidden=True)
def hum(run, loud, secret):
    """Hum a song of RUN."""


class TestHum(CommandContract):
    command = hum


@click.command()
def silent():
    pass


@click.command()
@click.option("-l", "--loud", is_flag=True)
def undescribed(loud):
    """Hum a song."""


def late() -> str:
    raise LookupError("no song")


class Unshowable(click.ParamType):
    name = "song"

    def get_metavar(self, param, ctx):
        return late()


@click.command()
@click.option("--song", type=Unshowable(), help="Which.")
def unshowable(song):
    """Hum a song."""


BROKEN = {
    "no command": (hum.callback, "test_it_is_a_command", "a click command; got <function hum"),
    "no help": (silent, "test_help_says_what_it_does", "a docstring or help of the command"),
    "an option": (undescribed, "test_help_says_what_it_does", "help of -l/--loud; got none"),
    "a type": (unshowable, "test_help_can_be_printed", "no error; got LookupError: no song"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_command_is_caught_by_the_check_meant_for_it(case):
    offered, check, said = BROKEN[case]

    class Contract(CommandContract):
        command = offered

        def make_command(self):
            return offered

    assert re.search(said, violations(Contract())[check])


def test_every_check_has_a_command_that_breaks_it():
    checks = {name for name in dir(CommandContract) if name.startswith("test_")}
    assert checks == {check for _, check, _ in BROKEN.values()}

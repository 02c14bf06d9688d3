"""The conformance suite for commands and figures."""

from __future__ import annotations

from typing import ClassVar

import click

from mmvae.testing.contract import Contract, require


class CommandContract(Contract):
    """Checks of a click command that a distribution offers as ``mmvae NAME``, or of a figure."""

    command: ClassVar[click.Command | None] = None
    """The command under test; unless :meth:`make_command` gives it."""

    def make_command(self) -> click.Command:
        """The command."""
        if self.command is None:
            raise NotImplementedError("Set command, or define make_command(self).")
        return self.command

    def test_it_is_a_command(self) -> None:
        """The entry point names a click command, and it can be loaded."""
        command = self.make_command()
        require(isinstance(command, click.Command), "a click command", repr(command))

    def test_help_says_what_it_does(self) -> None:
        """The help has a sentence on the command and one on each option."""
        command = self.make_command()
        require(bool(command.get_short_help_str()), "a docstring or help of the command", "none")
        for option in command.params:
            if isinstance(option, click.Option) and not option.hidden:
                require(bool(option.help), f"help of {'/'.join(option.opts)}", "none")

    def test_help_can_be_printed(self) -> None:
        """``--help`` works: defaults and texts of all options can be shown."""
        command = self.make_command()
        shown = command.get_help(click.Context(command, info_name=command.name or "command"))
        require("Usage:" in shown, "a usage line in --help", repr(shown[:80]))

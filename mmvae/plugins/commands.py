"""Commands and figures that distributions offer by entry point: each loaded on its first call."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING

import click

from mmvae.foundations.errors import PluginError, Terminated
from mmvae.plugins.entry_points import cause, imported, maker, require_reference
from mmvae.plugins.environment import Switches
from mmvae.plugins.version import check_version, stated_version

if TYPE_CHECKING:
    from mmvae.plugins.plugin_info import State  # which imports torch, and help is quick


@dataclass(frozen=True)
class OfferedCommand:
    """One entry point that names a click command.

    Attributes:
        entry: The entry point; its name is the command's.
        word: Its name in messages: ``command`` or ``figure``.
        disabled: Why the environment disables it; empty if it does not.
    """

    entry: EntryPoint
    word: str
    disabled: str = ""

    def __str__(self) -> str:
        return f"{self.word} {self.name!r} ({self.distribution} {self.version})"

    @property
    def name(self) -> str:
        """The name by which it is called."""
        return self.entry.name

    @property
    def distribution(self) -> str:
        """The distribution that brings it."""
        return maker(self.entry)[0]

    @property
    def version(self) -> str:
        """That distribution's version."""
        return maker(self.entry)[1]

    def load(self) -> click.Command:
        """Import it.

        Raises:
            PluginError: It is disabled or broken; the message names the distribution and the
                reason.
        """
        if self.disabled:
            raise PluginError(complaint([self], LoadOutcome("disabled", self.disabled)))
        try:
            require_reference(self.entry)
            with redirect_stdout(sys.stderr):  # its output is not the result of a command
                check_version(stated_version(self.entry), self.distribution)
                command = imported(self.entry)
            if not isinstance(command, click.Command):
                raise PluginError(f"it is {command!r}; expected a click command")
        except KeyboardInterrupt:
            raise KeyboardInterrupt(f"while {self} was loaded") from None
        except Terminated:
            raise
        except BaseException as error:  # third-party code may fail in any way, even exit
            raise PluginError(complaint([self], LoadOutcome("broken", cause(error)))) from error
        return command

    def tried(self) -> LoadOutcome:
        """The outcome of loading it."""
        try:
            self.load()
        except PluginError as error:
            if error.__cause__ is None:
                return LoadOutcome("disabled", self.disabled)
            trace = "".join(traceback.format_exception(error.__cause__))
            return LoadOutcome("broken", cause(error.__cause__), trace)
        return LoadOutcome("ok")


@dataclass(frozen=True)
class LoadOutcome:
    """The outcome of loading a command.

    Attributes:
        state: ``ok``, ``broken`` or ``disabled``.
        error: Why it is broken or disabled, in one line; empty if ok.
        traceback: The full traceback of a broken one; empty otherwise.
    """

    state: State
    error: str = ""
    traceback: str = ""


def complaint(commands: Sequence[OfferedCommand], outcome: LoadOutcome) -> str:
    """The broken or disabled commands of one distribution, the reason, and how to fix it."""
    first, names = commands[0], ", ".join(f"{c.word} {c.name!r}" for c in commands)
    are = "is" if len(commands) == 1 else "are"
    who = f"{names} ({first.distribution} {first.version}) {are} {outcome.state}"
    if outcome.state == "disabled":
        return f"{who}: {outcome.error}."
    return (
        f"{who}: {outcome.error.rstrip('.')}. Repair it (pip install --upgrade "
        f"{first.distribution}), uninstall it, or leave it out with "
        f"MMVAE_DISABLE_PLUGINS={first.distribution}; `mmvae plugins list --traceback` shows more."
    )


def offered_commands(group: str, word: str) -> list[OfferedCommand]:
    """All commands that installed distributions offer in an entry-point group, unloaded, by name.

    Raises:
        UsageError: The environment names a plugin that is not installed.
    """
    switches = Switches.read()
    found = [OfferedCommand(e, word, switches.reason(e)) for e in entry_points(group=group)]
    return sorted(found, key=lambda command: (command.name, command.distribution))

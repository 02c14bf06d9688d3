"""Groups of commands that plugins may add to: listed from metadata alone, loaded when called."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from importlib.metadata import EntryPoint, entry_points
from typing import Any

import click

from mmvae.contract import check_version, stated_version
from mmvae.entry import maker, require_reference
from mmvae.errors import PluginError, nearest


class OpenGroup(click.Group):
    """Commands of the core, and those that plugins offer beside them by entry point.

    A command of a plugin has no name that the core uses. A name that two distributions offer is
    listed with both and calls neither; a command that cannot be loaded harms only itself.

    Args:
        entries: The entry-point group in which plugins offer, such as ``mmvae.figures``.
        word: What one of its commands is called in messages.
        settings: As click's groups take them.
    """

    def __init__(self, *, entries: str, word: str = "command", **settings: Any) -> None:
        super().__init__(**settings)
        self.entries, self.word = entries, word

    def own(self) -> Mapping[str, str]:
        """The core's commands, each with its short help."""
        return {name: c.get_short_help_str(limit=70) for name, c in self.commands.items()}

    def own_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """The core's command of this name."""
        return super().get_command(ctx, name)

    def offered(self) -> dict[str, list[EntryPoint]]:
        """What plugins offer under names that the core does not use, unloaded."""
        found: dict[str, list[EntryPoint]] = {}
        for entry in entry_points(group=self.entries):
            if entry.name not in self.own():
                found.setdefault(entry.name, []).append(entry)
        return found

    def clashes(self) -> dict[str, str]:
        """What plugins offer and nobody can call, each with the reason."""
        clashes = {
            entry.name: f"{_distribution(entry)} offers it, but the core has a {self.word} of "
            f"this name"
            for entry in entry_points(group=self.entries)
            if entry.name in self.own()
        }
        return clashes | {
            name: f"offered by several distributions: {_origin(entries)}"
            for name, entries in self.offered().items()
            if len(entries) > 1
        }

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names of all commands, the core's first."""
        return [*self.own(), *sorted(self.offered())]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of this name, loaded now if a plugin offers it, or None."""
        if cmd_name in self.own():
            return self.own_command(ctx, cmd_name)
        entries = self.offered().get(cmd_name)
        return load(entries, self.word) if entries else None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command of a command line, with a hint for a misspelt one."""
        name, known = args[0], self.list_commands(ctx)
        if not (name.startswith("-") or name in known):
            raise click.UsageError(f"No such command {name!r}.{nearest(name, known)}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands without loading any of a plugin's."""
        words = f"{self.word}s".capitalize()
        with formatter.section("Commands"):
            formatter.write_dl(list(self.own().items()))
        if offered := self.offered():
            with formatter.section(f"{words} of plugins"):
                formatter.write_dl([(name, _origin(e)) for name, e in sorted(offered.items())])
        if clashes := self.clashes():
            with formatter.section(f"{words} of plugins that cannot be called"):
                formatter.write_dl(list(clashes.items()))


def load(entries: Sequence[EntryPoint], word: str) -> click.Command:
    """Load the command that an entry point names.

    Raises:
        PluginError: Several distributions offer it, or the one that does is broken.
    """
    entry = entries[0]
    if len(entries) > 1:
        raise PluginError(
            f"{word} {entry.name!r} is offered by several distributions: {_origin(entries)}. "
            f"Uninstall all but one."
        )
    blame = f"{word} {entry.name!r} of the distribution {_distribution(entry)}"
    try:
        require_reference(entry)
        with redirect_stdout(sys.stderr):  # what it prints is no result of a command
            check_version(stated_version(entry), _distribution(entry))
            command = entry.load()
    except PluginError as error:
        reason = str(error).rstrip(".")
        raise PluginError(
            f"{blame} cannot be loaded: {reason}. Mend or uninstall that distribution."
        ) from error
    except (Exception, SystemExit) as error:  # strangers' code may fail in any way, even exit
        raise PluginError(
            f"{blame} cannot be loaded: {type(error).__name__}: {error}. "
            f"Mend or uninstall that distribution."
        ) from error
    if not isinstance(command, click.Command):
        raise PluginError(
            f"{blame} is {command!r}; expected a click command. "
            f"Mend or uninstall that distribution."
        )
    return command


def _origin(entries: Sequence[EntryPoint]) -> str:
    return ", ".join(sorted(map(_distribution, entries)))


def _distribution(entry: EntryPoint) -> str:
    return maker(entry)[0]

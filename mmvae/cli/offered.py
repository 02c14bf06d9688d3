"""Groups of commands that plugins may add to: listed from metadata alone, loaded when called."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import click

from mmvae.foundations.errors import PluginError, nearest
from mmvae.plugins.commands import OfferedCommand, offered_commands


class OpenGroup(click.Group):
    """Commands of the core, and those that plugins offer by entry point.

    A command of a plugin cannot use a name of the core. A name that two distributions offer is
    listed with both and can call neither. A command that cannot be loaded does not affect others,
    and a disabled one says so when it is called.

    Args:
        entries: The entry-point group in which plugins offer, such as ``mmvae.figures``.
        word: The name of one of its commands in messages.
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

    def everything(self) -> list[OfferedCommand]:
        """All commands that plugins offer, including clashing and disabled ones, unloaded."""
        return offered_commands(self.entries, self.word)

    def offered(self) -> dict[str, list[OfferedCommand]]:
        """The commands that plugins offer under names that the core does not use, unloaded."""
        found: dict[str, list[OfferedCommand]] = {}
        for command in self.everything():
            if command.name not in self.own() and not command.disabled:
                found.setdefault(command.name, []).append(command)
        return found

    def clashes(self) -> dict[str, str]:
        """The commands that plugins offer but that cannot be called, each with the reason."""
        clashes = {
            command.name: f"{command.distribution} offers it, but the core has a {self.word} of "
            f"this name"
            for command in self.everything()
            if command.name in self.own() and not command.disabled
        }
        return clashes | {
            name: f"offered by several distributions: {_origin(commands)}"
            for name, commands in self.offered().items()
            if len(commands) > 1
        }

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names of all commands, the core's first."""
        return [*self.own(), *sorted(self.offered())]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of this name, loaded now if a plugin offers it, or None."""
        if cmd_name in self.own():
            return self.own_command(ctx, cmd_name)
        found = [command for command in self.everything() if command.name == cmd_name]
        rivals = [command for command in found if not command.disabled] or found[:1]
        if len(rivals) > 1:
            raise PluginError(
                f"{self.word} {cmd_name!r} is offered by several distributions: "
                f"{_origin(rivals)}. Uninstall all but one, or name the others in "
                f"MMVAE_DISABLE_PLUGINS."
            )
        return rivals[0].load() if rivals else None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command of a command line, with a hint for a misspelt one."""
        name = args[0]
        if not name.startswith("-") and self.get_command(ctx, name) is None:
            known = self.list_commands(ctx)
            raise click.UsageError(f"No such command {name!r}.{nearest(name, known)}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands without loading those of plugins."""
        words = f"{self.word}s".capitalize()
        with formatter.section("Commands"):
            formatter.write_dl(list(self.own().items()))
        if offered := self.offered():
            with formatter.section(f"{words} of plugins"):
                formatter.write_dl([(name, _origin(c)) for name, c in sorted(offered.items())])
        if clashes := self.clashes():
            with formatter.section(f"{words} of plugins that cannot be called"):
                formatter.write_dl(list(clashes.items()))


def _origin(commands: Sequence[OfferedCommand]) -> str:
    return ", ".join(command.distribution for command in commands)

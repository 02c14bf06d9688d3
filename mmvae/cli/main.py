"""The entry point ``mmvae``: commands imported when called, errors as one message and a code."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence
from importlib.metadata import EntryPoint, entry_points
from typing import NoReturn

import click

from mmvae import __version__
from mmvae.cli.launched import end_launched
from mmvae.cli.options import HELP, Manners, example
from mmvae.errors import Interrupted, MmvaeError, PluginError, nearest

COMMANDS = {
    "train": "Train a model as a TOML file describes it.",
    "resume": "Go on with a run where it stopped.",
    "evaluate": "Compute bounds and coherence of a trained model.",
    "compare": "Hold evaluated runs side by side, and beside published figures.",
    "reproduce": "Train and evaluate every row of a study, and print its tables.",
    "generate": "Generate modalities, from others or from the prior.",
    "embed": "Write the joint representation of items.",
    "score": "Write the bound of each item's log-likelihood.",
    "figures": "Draw one figure of a run, or of several side by side.",
    "report": "Write a run's report with its figures.",
    "data": "Describe, check and make data.",
    "config": "Show, check and document configurations.",
    "plugins": "List, check and start plugins.",
    "info": "Show versions, devices and threads.",
}
"""Each core command with its short help; here, so that listing them imports none of them."""

COMMAND_GROUP = "mmvae.commands"
"""The entry-point group in which plugins offer commands of their own."""


class LazyGroup(click.Group):
    """Commands of the core, module ``mmvae.cli.NAME``, and of plugins, loaded when called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names of all commands, the core's first."""
        return [*COMMANDS, *sorted(plugin_commands())]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command of this name, or return None if there is none."""
        if cmd_name in COMMANDS:
            command = importlib.import_module(f"mmvae.cli.{cmd_name}").command
            assert isinstance(command, click.Command)
            return command
        entries = plugin_commands().get(cmd_name)
        return _load(entries) if entries else None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command of a command line, with a hint for a misspelt one."""
        name = args[0]
        if not (name.startswith("-") or name in COMMANDS or name in plugin_commands()):
            hint = nearest(name, self.list_commands(ctx))
            raise click.UsageError(f"No such command {name!r}.{hint}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands without importing any."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))
        plugins = plugin_commands()
        if plugins:
            with formatter.section("Commands of plugins"):
                formatter.write_dl([(name, _origin(e)) for name, e in sorted(plugins.items())])
        if clashes := command_clashes():
            with formatter.section("Commands of plugins that cannot be called"):
                formatter.write_dl(list(clashes.items()))


def plugin_commands() -> dict[str, list[EntryPoint]]:
    """Commands that plugins offer under names that the core does not use, from metadata alone."""
    found: dict[str, list[EntryPoint]] = {}
    for entry in entry_points(group=COMMAND_GROUP):
        if entry.name not in COMMANDS:
            found.setdefault(entry.name, []).append(entry)
    return found


def command_clashes() -> dict[str, str]:
    """Commands of plugins that cannot be called, each with the reason."""
    clashes = {
        entry.name: f"{_distribution(entry)} offers it, but the core has a command of this name"
        for entry in entry_points(group=COMMAND_GROUP)
        if entry.name in COMMANDS
    }
    return clashes | {
        name: f"offered by several distributions: {_origin(entries)}"
        for name, entries in plugin_commands().items()
        if len(entries) > 1
    }


def _load(entries: Sequence[EntryPoint]) -> click.Command:
    entry = entries[0]
    if len(entries) > 1:
        raise PluginError(
            f"command {entry.name!r} is offered by several distributions: {_origin(entries)}. "
            f"Uninstall all but one."
        )
    blame = f"command {entry.name!r} of the distribution {_distribution(entry)}"
    try:
        command = entry.load()
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
    return entry.dist.name if entry.dist else "unknown"


@click.group(
    cls=LazyGroup,
    context_settings=HELP,
    epilog=example("mmvae train examples/digits.toml", "mmvae COMMAND --help"),
)
@click.version_option(__version__, prog_name="mmvae", message="%(prog)s %(version)s")
@click.option("-q", "--quiet", is_flag=True, help="Print results and errors only.")
@click.pass_context
def cli(ctx: click.Context, quiet: bool) -> None:
    """Multimodal variational autoencoders for any number of modalities."""
    ctx.obj = Manners(quiet=quiet)
    if os.environ.get("NO_COLOR"):
        ctx.color = False


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and exit with its documented code.

    Our own errors become one message; any other exception is a bug of ours and keeps its
    traceback.
    """
    code = run(argv)
    end_launched(code)
    sys.exit(code)


def run(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    args = None if argv is None else list(argv)
    try:
        code = cli.main(args, prog_name="mmvae", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return error.exit_code
    except click.ClickException as error:
        context = getattr(error, "ctx", None)
        hint = f" Try '{context.command_path} --help'." if context else ""
        return _fail(f"{error.format_message()}{hint}", error.exit_code)
    except Interrupted as stop:  # a clean stop that was asked for is no error
        click.echo(str(stop), err=True)
        return stop.exit_code
    except MmvaeError as error:
        return _fail(str(error), error.exit_code)
    except (KeyboardInterrupt, click.Abort) as error:
        if isinstance(error.__cause__, EOFError):  # click takes it for Ctrl-D; it is a bug of ours
            raise error.__cause__ from None
        return _fail("interrupted.", 130)
    return code if isinstance(code, int) else 0


def _fail(message: str, code: int) -> int:
    color = False if os.environ.get("NO_COLOR") else None
    click.secho("error: ", fg="red", bold=True, nl=False, err=True, color=color)
    click.echo(message, err=True)
    return code

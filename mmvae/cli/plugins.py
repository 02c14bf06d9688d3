"""``mmvae plugins``: what is installed, and what is wrong with it."""

from __future__ import annotations

import click

from mmvae.cli.main import command_clashes, plugin_commands
from mmvae.cli.options import columns, example, json_option, print_json
from mmvae.plugins import load_registry
from mmvae.registry import PluginInfo


@click.group(epilog=example("mmvae plugins list"))
def command() -> None:
    """List the installed plugins."""


@command.command(
    "list",
    epilog=example("mmvae plugins list", "MMVAE_DISABLE_PLUGINS=images mmvae plugins list --json"),
)
@click.option("--traceback", is_flag=True, help="Show the full traceback of broken plugins.")
@json_option
def list_(traceback: bool, as_json: bool) -> None:
    """List plugins: what each offers, its state, and why a broken one is broken."""
    registry = load_registry()
    if as_json:
        print_json(
            {
                "plugins": [_as_json(plugin) for plugin in registry.plugins],
                "conflicts": registry.conflicts,
                "commands": {
                    name: entries[0].value for name, entries in plugin_commands().items()
                },
                "command_clashes": command_clashes(),
            }
        )
        return
    rows = [("plugin", "version", "distribution", "state", "offers")]
    for plugin in registry.plugins:
        offers = ", ".join(map(str, plugin.offers)) if plugin.state == "ok" else ""
        rows.append((plugin.name, plugin.version, plugin.distribution, plugin.state, offers))
    click.echo(columns(rows))
    for plugin in registry.plugins:
        if plugin.error:
            click.echo(f"\n{plugin.state}: {plugin}: {plugin.error}")
        if plugin.traceback and traceback:
            click.echo(plugin.traceback.rstrip())
    for conflict in registry.conflicts:
        click.echo(f"\nconflict: {conflict}.")
    for name, reason in command_clashes().items():
        click.echo(f"\nconflict: command {name!r}: {reason}.")


def _as_json(plugin: PluginInfo) -> dict[str, object]:
    return {
        "name": plugin.name,
        "version": plugin.version,
        "distribution": plugin.distribution,
        "state": plugin.state,
        "offers": [{"role": offer.role, "kind": offer.kind} for offer in plugin.offers],
        "error": plugin.error,
        "traceback": plugin.traceback,
    }

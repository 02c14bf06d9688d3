"""``mmvae plugins``: what is installed, what is wrong with it, and the start of a new one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mmvae.cli.figures import command as figures
from mmvae.cli.main import cli
from mmvae.cli.options import columns, example, json_option, print_json, say, set_option
from mmvae.contract import VERSION
from mmvae.entry import maker
from mmvae.errors import PluginError, UsageError
from mmvae.plugins import load_registry
from mmvae.registry import PluginInfo, Registry
from mmvae.toml import parse_override

if TYPE_CHECKING:
    from mmvae.testing.plugin import Checked


@click.group(epilog=example("mmvae plugins list", "mmvae plugins new mmvae-angles --codec angle"))
def command() -> None:
    """List, check and start plugins."""


@command.command(
    "list",
    epilog=example("mmvae plugins list", "MMVAE_DISABLE_PLUGINS=images mmvae plugins list --json"),
)
@click.option("--traceback", is_flag=True, help="Show the full traceback of broken plugins.")
@json_option
def list_(traceback: bool, as_json: bool) -> None:
    """List plugins: what each offers, its state, and why a broken one is broken."""
    registry = load_registry(warn=False)  # it says more of them itself
    if as_json:
        print_json(
            {
                "contract": VERSION,
                "plugins": [_as_json(plugin) for plugin in registry.plugins],
                "conflicts": registry.conflicts,
                "commands": {name: e[0].value for name, e in cli.offered().items()},
                "command_clashes": cli.clashes(),
                "figures": {name: e[0].value for name, e in figures.offered().items()},
                "figure_clashes": figures.clashes(),
            }
        )
        return
    click.echo(
        columns([("plugin", "version", "distribution", "state", "offers"), *_rows(registry)])
    )
    for plugin in registry.plugins:
        if plugin.state == "disabled":
            click.echo(f"\nplugin {plugin.complaint}")
        elif plugin.warning:
            click.echo(f"\n{plugin.warning}")
        if plugin.traceback and traceback:
            click.echo(plugin.traceback.rstrip())
    for conflict in registry.conflicts:
        click.echo(f"\nconflict: {conflict}.")
    for group in (cli, figures):
        for name, reason in group.clashes().items():
            click.echo(f"\nconflict: {group.word} {name!r}: {reason}.")


def _rows(registry: Registry) -> list[tuple[str, ...]]:
    """One row for each plugin, and one for each distribution that brings commands alone."""
    commands: dict[str, list[str]] = {}
    versions = {p.distribution: p.version for p in registry.plugins}
    for group in (cli, figures):
        for entry in (entry for entries in group.offered().values() for entry in entries):
            owner, version = maker(entry)
            versions.setdefault(owner, version)
            commands.setdefault(owner, []).append(f"{group.word} {entry.name}")
    rows = []
    for plugin in registry.plugins:
        offers = [str(offer) for offer in plugin.offers] if plugin.state == "ok" else []
        offers += commands.pop(plugin.distribution, [])
        place = (plugin.name, plugin.version, plugin.distribution, plugin.state)
        rows.append((*place, ", ".join(offers)))
    alone = [("-", versions[d], d, "ok", ", ".join(names)) for d, names in commands.items()]
    return [*rows, *sorted(alone)]


def _as_json(plugin: PluginInfo) -> dict[str, object]:
    return {
        "name": plugin.name,
        "version": plugin.version,
        "distribution": plugin.distribution,
        "state": plugin.state,
        "offers": [{"role": offer.role, "kind": offer.kind} for offer in plugin.offers],
        "contract": plugin.contract,
        "seconds": round(plugin.seconds, 3),
        "error": plugin.error,
        "traceback": plugin.traceback,
    }


@command.command(
    epilog=example("mmvae plugins check categorical", "mmvae plugins check mmvae-labels --json")
)
@click.argument("name")
@set_option
@json_option
def check(name: str, overrides: tuple[str, ...], as_json: bool) -> None:
    """Run the conformance suite of NAME: a kind, a plugin or a distribution.

    One line for each check; exit code 3 if any fails. Codecs bring the values they are tried
    with; -s gives keys that a source or a model cannot do without.
    """
    from mmvae.testing.plugin import check as check_plugin  # not needed to list plugins

    checked = check_plugin(load_registry(warn=False), name, _keys(overrides))
    if as_json:
        print_json({"name": name, "checked": [_checked_json(one) for one in checked]})
    else:
        click.echo("\n\n".join(map(_lines, checked)) or f"{name} offers nothing to check.")
    broken = sum(len(one.broken) for one in checked)
    if broken:
        total = sum(len(one.verdicts) for one in checked)
        raise PluginError(f"{name} breaks the contract: {broken} of {total} checks failed.")
    if checked and not any(one.verdicts for one in checked):
        raise UsageError(f"nothing of {name!r} was tried: {checked[0].reason}.")


@command.command(
    epilog=example(
        "mmvae plugins new mmvae-angles --codec angle",
        "pip install -e mmvae-angles",
        "mmvae plugins check angle",
    )
)
@click.argument("name")
@click.option("--codec", "kind", metavar="KIND", required=True, help="The codec's word in TOML.")
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=".",
    help="Folder in which the folder NAME is made; here unless given.",
)
def new(name: str, kind: str, out: Path) -> None:
    """Write a distribution NAME with a codec that installs, passes its tests and trains.

    It has a module, a README, a test that inherits the conformance suite, and an example with
    its data. Edit the likelihood from there.
    """
    from mmvae.scaffold import write_distribution  # not needed to list plugins

    folder = write_distribution(out, name, kind, load_registry(warn=False))
    click.echo(str(folder))
    say(f"Next: cd {folder} && pip install -e '.[dev]' && pytest && mmvae train example.toml")


def _keys(overrides: Sequence[str]) -> dict[str, Any]:
    """What ``-s`` says, as nested tables."""
    keys: dict[str, Any] = {}
    for path, value in map(parse_override, overrides):
        table: Any = keys
        for part in path[:-1]:
            table = table.setdefault(part, {})
            if not isinstance(table, dict):
                raise UsageError(f"-s {'.'.join(path)}: {part!r} was given as a value before.")
        table[path[-1]] = value
    return keys


def _lines(checked: Checked) -> str:
    """One line for each check, with what was wanted and got where one failed."""
    head = f"{checked.offer} of {checked.plugin}"
    if checked.remark:
        head += f"\n  remark     {checked.remark}"
    if checked.reason:
        return f"{head}\n  not tried  {checked.reason}"
    words = {"kept": "ok", "broken": "FAILED", "not tried": "not tried"}
    lines = [
        f"  {words[v.state]:<9}  {v.title}"
        + (f": {' '.join(v.reason.split())}" if v.reason else "")
        for v in checked.verdicts
    ]
    return "\n".join([head, *lines])


def _checked_json(checked: Checked) -> dict[str, object]:
    return {
        "role": checked.offer.role,
        "kind": checked.offer.kind,
        "plugin": checked.plugin.name,
        "distribution": checked.plugin.distribution,
        "version": checked.plugin.version,
        "contract": checked.plugin.contract,
        "remark": checked.remark,
        "reason": checked.reason,
        "checks": [
            {"check": v.check, "state": v.state, "reason": v.reason} for v in checked.verdicts
        ],
    }

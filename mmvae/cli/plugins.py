"""``mmvae plugins``: list the installed plugins, check them, and start a new one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mmvae.cli.figures import command as figures
from mmvae.cli.main import cli
from mmvae.cli.options import columns, echo, example, json_option, print_json, say, set_option
from mmvae.foundations.errors import PluginError, UsageError
from mmvae.foundations.toml import parse_override
from mmvae.plugins.commands import LoadOutcome, OfferedCommand, complaint
from mmvae.plugins.version import VERSION

if TYPE_CHECKING:
    from mmvae.plugins.plugin_info import PluginInfo
    from mmvae.plugins.registry import Registry


if TYPE_CHECKING:
    from mmvae.testing.plugin import Checked

Tried = tuple[OfferedCommand, LoadOutcome]


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
    from mmvae.plugins.loader import load_registry

    registry = load_registry(warn=False)  # it says more of them itself
    commands = [(c, c.tried()) for group in (cli, figures) for c in group.everything()]
    if as_json:
        print_json(
            {
                "contract": VERSION,
                "plugins": [_as_json(plugin) for plugin in registry.plugins],
                "conflicts": registry.conflicts,
                "commands": [_command_json(*tried) for tried in commands],
                "command_clashes": cli.clashes(),
                "figure_clashes": figures.clashes(),
            }
        )
        return
    head = ("plugin", "version", "distribution", "state", "offers")
    echo(columns([head, *_rows(registry), *_command_rows(commands)]))
    for plugin in registry.plugins:
        if plugin.state == "disabled":
            echo(f"\nplugin {plugin.complaint}")
        elif plugin.warning:
            echo(f"\n{plugin.warning}")
        if plugin.traceback and traceback:
            echo(plugin.traceback.rstrip())
    for message in _complaints(commands, traceback):
        echo(f"\n{message}")
    for conflict in registry.conflicts:
        echo(f"\nconflict: {conflict}.")
    for group in (cli, figures):
        for name, reason in group.clashes().items():
            echo(f"\nconflict: {group.word} {name!r}: {reason}.")


def _rows(registry: Registry) -> list[tuple[str, ...]]:
    """One row for each plugin."""
    return [
        (
            plugin.name,
            plugin.version,
            plugin.distribution,
            plugin.state,
            ", ".join(map(str, plugin.offers)) if plugin.state == "ok" else "",
        )
        for plugin in registry.plugins
    ]


def _command_rows(commands: Sequence[Tried]) -> list[tuple[str, ...]]:
    """One row for the commands and figures of a distribution that are in the same state."""
    rows: dict[tuple[str, ...], list[str]] = {}
    for command, outcome in commands:
        place = ("-", command.version, command.distribution, outcome.state)
        rows.setdefault(place, []).append(f"{command.word} {command.name}")
    by_distribution = sorted(rows.items(), key=lambda row: row[0][2])
    return [(*place, ", ".join(names)) for place, names in by_distribution]


def _complaints(commands: Sequence[Tried], traceback: bool) -> list[str]:
    """Problems of commands, each cause once per distribution."""
    causes: dict[tuple[str, str], list[Tried]] = {}
    for command, outcome in commands:
        if outcome.state != "ok":
            causes.setdefault((command.distribution, outcome.error), []).append((command, outcome))
    messages = []
    for alike in causes.values():
        (_, outcome), names = alike[0], [command for command, _ in alike]
        trace = f"\n{outcome.traceback.rstrip()}" if traceback and outcome.traceback else ""
        messages.append(complaint(names, outcome) + trace)
    return messages


def _command_json(command: OfferedCommand, outcome: LoadOutcome) -> dict[str, str]:
    return {
        "role": command.word,
        "name": command.name,
        "version": command.version,
        "distribution": command.distribution,
        "state": outcome.state,
        "error": outcome.error,
        "traceback": outcome.traceback,
    }


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
    """Run the conformance suite of NAME: a kind, a plugin, a distribution or a command.

    It prints one line for each check; the exit code is 3 if any fails. Codecs provide their own
    test values; use -s for keys that have no default. Models, extensions, metrics and observers
    are tested on two modalities of the suite, a and b.
    """
    from mmvae.plugins.loader import load_registry
    from mmvae.testing.plugin import check as check_plugin  # not needed to list plugins

    commands = [c for group in (cli, figures) for c in group.everything()]
    checked = check_plugin(load_registry(warn=False), name, _keys(overrides), commands)
    if as_json:
        print_json({"name": name, "checked": [_checked_json(one) for one in checked]})
    else:
        echo("\n\n".join(map(_lines, checked)) or f"{name} offers nothing to check.")
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
    help="Folder in which NAME is created; the working folder unless given.",
)
def new(name: str, kind: str, out: Path) -> None:
    """Write a distribution NAME with a codec that installs, passes its tests and trains.

    It has a module, a README, a test that inherits the conformance suite, and an example with
    its data. Then edit the likelihood.
    """
    from mmvae.plugins.loader import load_registry
    from mmvae.plugins.scaffold import write_distribution  # not needed to list plugins

    folder = write_distribution(out, name, kind, load_registry(warn=False))
    echo(str(folder))
    say(f"Next: cd {folder} && pip install -e '.[dev]' && pytest && mmvae train example.toml")


def _keys(overrides: Sequence[str]) -> dict[str, Any]:
    """The keys of ``-s``, as nested tables."""
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
    """One line for each check, with requirement and result if it failed."""
    head = f"{checked.role} {checked.kind} of {_origin(checked.origin)}"
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


def _origin(plugin: PluginInfo) -> str:
    return str(plugin) if plugin.name else f"{plugin.distribution} {plugin.version}"


def _checked_json(checked: Checked) -> dict[str, object]:
    return {
        "role": checked.role,
        "kind": checked.kind,
        "plugin": checked.origin.name or None,
        "distribution": checked.origin.distribution,
        "version": checked.origin.version,
        "contract": checked.origin.contract,
        "remark": checked.remark,
        "reason": checked.reason,
        "checks": [
            {"check": v.check, "state": v.state, "reason": v.reason} for v in checked.verdicts
        ],
    }

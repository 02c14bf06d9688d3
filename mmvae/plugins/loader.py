"""The loader of plugins: entry points of the group ``mmvae``, each loaded separately.

A broken plugin is recorded with its cause and all others are loaded; it becomes an error
only when a config needs what it might have offered.
"""

from __future__ import annotations

import inspect
import sys
import time
import traceback
import warnings
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import replace
from functools import partial
from importlib.metadata import EntryPoint, entry_points

import pluggy

from mmvae.foundations.errors import PluginError, PluginWarning, Terminated, nearest
from mmvae.plugins.entry_points import PLUGIN_GROUP, cause, imported, maker, require_reference
from mmvae.plugins.environment import Switches
from mmvae.plugins.offer import Offer, add_offer
from mmvae.plugins.plugin_info import PluginInfo
from mmvae.plugins.registry import Registry
from mmvae.plugins.roles import ROLES
from mmvae.plugins.version import check_version, stated_version

__all__ = ["PluginInfo", "Registry", "load_registry"]


def load_registry(environ: Mapping[str, str] | None = None, *, warn: bool = True) -> Registry:
    """Load every installed plugin, each in isolation, and return what they offer.

    Args:
        environ: Variables to obey, the process's own unless given. ``MMVAE_PLUGINS=a,b`` loads
            these plugins only (the core's own always), ``MMVAE_DISABLE_PLUGINS=a,b`` all but
            these; a name is a plugin's or a distribution's.
        warn: Whether to warn (:class:`mmvae.foundations.errors.PluginWarning`) of each plugin that
            is broken or slow.

    Raises:
        UsageError: One of the variables names a plugin or distribution that is not installed.
    """
    switches = Switches.read(environ)
    entries = sorted(entry_points(group=PLUGIN_GROUP), key=lambda e: (e.name, _distribution(e)))
    reasons = [switches.reason(entry) for entry in entries]
    rivals = [e for e, reason in zip(entries, reasons, strict=True) if not reason]
    plugins = [
        _load(entry, reason, _namesakes(entry, rivals))
        for entry, reason in zip(entries, reasons, strict=True)
    ]
    for plugin in plugins:
        if warn and plugin.warning:
            warnings.warn(plugin.warning, PluginWarning, stacklevel=2)
    return Registry(plugins)


def _namesakes(entry: EntryPoint, entries: Sequence[EntryPoint]) -> list[str]:
    """All distributions with a plugin of this name, if it is not for this one to have."""
    owners = [_distribution(e) for e in entries if e.name == entry.name]
    alone = len(set(owners)) < 2 or _distribution(entry) == "mmvae"  # the core keeps its own
    return [] if alone else owners


def _load(entry: EntryPoint, disabled: str, namesakes: Sequence[str]) -> PluginInfo:
    """Load and call one plugin; its errors are recorded and affect no other plugin."""
    info = PluginInfo(entry.name, *maker(entry))
    if disabled:
        return replace(info, state="disabled", error=disabled)
    offers: list[Offer] = []
    stated, began = None, time.monotonic()
    try:
        if namesakes:
            raise PluginError(
                f"several distributions have a plugin {entry.name!r}: {', '.join(namesakes)}. "
                f"Uninstall all but one, or name the others in MMVAE_DISABLE_PLUGINS"
            )
        require_reference(entry)
        with redirect_stdout(sys.stderr):  # its output is not the result of a command
            if info.distribution != "mmvae":
                stated = stated_version(entry)
                check_version(stated, info.distribution)
            plugin = imported(entry)
            info = replace(info, contract=stated, seconds=time.monotonic() - began)
            _call_hooks(plugin, offers)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(
            f"while plugin {info} was loaded; MMVAE_DISABLE_PLUGINS={info.name} leaves it out"
        ) from None
    except Terminated:
        raise
    except BaseException as error:
        # Plugins are third-party code: any of them may fail in any way, a script without a main
        # guard even exits, and no failure of one may stop a command that does not need it.
        return replace(
            info,
            state="broken",
            contract=stated,
            offers=tuple(offers),
            error=cause(error),
            traceback="".join(traceback.format_exception(error)),
        )
    return replace(info, offers=tuple(offers))


def _call_hooks(plugin: object, offers: list[Offer]) -> None:
    """Call a plugin's hooks, adding to ``offers``.

    It gets a manager of its own, so a misspelt hook or a wrong argument breaks this plugin only.

    Raises:
        PluginError: A hook does not exist, is not marked, has other arguments or raises.
        TypeError: Something it registers does not fulfil its role.
    """
    manager = pluggy.PluginManager("mmvae")
    roles = {role.hook: role for role in ROLES.values()}
    manager.add_hookspecs(type("Hooks", (), {n: r.specification() for n, r in roles.items()}))
    try:
        manager.register(plugin)
    except pluggy.PluginValidationError as error:
        raise PluginError(_mismatch(plugin) or str(error)) from error
    marked = {hook.name: hook for hook in manager.get_hookcallers(plugin) or []}
    for name in marked:
        if name not in roles:
            raise PluginError(f"unknown hook {name!r}.{nearest(name, roles)}")
    unmarked = [name for name in roles if name not in marked and hasattr(plugin, name)]
    if unmarked or not marked:
        raise PluginError(
            f"its {unmarked[0]} is not marked with @mmvae.hookimpl"
            if unmarked
            else f"it has no hook; mark one of {', '.join(roles)} with @mmvae.hookimpl"
        )
    if mismatch := _mismatch(plugin):
        raise PluginError(mismatch)
    for name, role in roles.items():
        getattr(manager.hook, name)(register=partial(add_offer, offers, role))


def _mismatch(plugin: object) -> str:
    """The mistake in the arguments of a plugin's hooks; empty if there is none."""
    for role in ROLES.values():
        hook = getattr(plugin, role.hook, None)
        got = list(inspect.signature(hook).parameters) if callable(hook) else ["register"]
        if got != ["register"]:
            return (
                f"its hook {role.hook} takes the arguments ({', '.join(got)}); expected (register)"
            )
    return ""


def _distribution(entry: EntryPoint) -> str:
    return maker(entry)[0]

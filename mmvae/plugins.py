"""The loader of plugins: entry points of the group ``mmvae``, each heard on its own.

A broken plugin is written down with its cause and everything else goes on; it becomes an error
only when a config needs what it might have offered.
"""

from __future__ import annotations

import os
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib.metadata import EntryPoint, entry_points
from typing import get_args

import pluggy

from mmvae import hookspecs
from mmvae.errors import UsageError, nearest
from mmvae.registry import Offer, PluginInfo, Registry, Role, add_offer

__all__ = ["GROUP", "PluginInfo", "Registry", "load_registry"]

GROUP = "mmvae"
"""The entry-point group in which plugins announce themselves."""


def load_registry(environ: Mapping[str, str] | None = None) -> Registry:
    """Load every installed plugin, each in isolation, and return what they offer.

    Args:
        environ: Variables to obey, the process's own unless given. ``MMVAE_PLUGINS=a,b`` loads
            these plugins only (the core's own always), ``MMVAE_DISABLE_PLUGINS=a,b`` all but
            these.

    Raises:
        UsageError: One of the variables names a plugin that is not installed.
    """
    entries = sorted(entry_points(group=GROUP), key=lambda e: (e.name, _distribution(e)))
    reasons = _disabled(entries, os.environ if environ is None else environ)
    return Registry.from_plugins([_load(entry, reasons.get(entry.name)) for entry in entries])


def _disabled(entries: Sequence[EntryPoint], environ: Mapping[str, str]) -> dict[str, str]:
    """Why plugins stay out: name → reason."""

    def listed(variable: str) -> list[str]:
        names = [name.strip() for name in environ.get(variable, "").split(",") if name.strip()]
        known = sorted({entry.name for entry in entries})
        for name in names:
            if name not in known:
                raise UsageError(
                    f"{variable} names {name!r}, which is no installed plugin; installed: "
                    f"{', '.join(known) or 'none'}.{nearest(name, known)}"
                )
        return names

    only, without = listed("MMVAE_PLUGINS"), listed("MMVAE_DISABLE_PLUGINS")
    core = [entry.name for entry in entries if _distribution(entry) == "mmvae"]
    reasons = {
        entry.name: "not in MMVAE_PLUGINS"
        for entry in entries
        if only and entry.name not in [*only, *core]
    }
    return reasons | dict.fromkeys(without, "in MMVAE_DISABLE_PLUGINS")


def _load(entry: EntryPoint, disabled: str | None) -> PluginInfo:
    """Load and hear one plugin; whatever goes wrong is its own affair."""
    version = entry.dist.version if entry.dist else "unknown"
    info = PluginInfo(entry.name, _distribution(entry), version)
    if disabled:
        return replace(info, state="disabled", error=disabled)
    offers: list[Offer] = []
    try:
        _hear(entry.load(), offers)
    except (Exception, SystemExit) as error:
        # Plugins are strangers' code: any of them may fail in any way, a script without a main
        # guard even exits, and no failure of one may stop a command that does not need it.
        return replace(
            info,
            state="broken",
            offers=tuple(offers),
            error=_cause(error),
            traceback="".join(traceback.format_exception(error)),
        )
    return replace(info, offers=tuple(offers))


def _hear(plugin: object, offers: list[Offer]) -> None:
    """Call a plugin's hooks, adding to ``offers``.

    It gets a manager of its own, so a misspelt hook or a wrong argument breaks this plugin only.

    Raises:
        pluggy.PluginValidationError: A hook does not exist, has a wrong argument, or none is
            marked.
        TypeError: Something it registers does not fulfil its role.
    """
    manager = pluggy.PluginManager("mmvae")
    manager.add_hookspecs(hookspecs)
    manager.register(plugin)
    hooks = manager.get_hookcallers(plugin) or []
    known = [name for name in vars(hookspecs) if name.startswith("register_")]
    for hook in hooks:
        if not hook.has_spec():
            raise pluggy.PluginValidationError(
                plugin, f"unknown hook {hook.name!r}.{nearest(hook.name, known)}"
            )
    if not hooks:
        raise pluggy.PluginValidationError(
            plugin, f"it has no hook; mark one of {', '.join(known)} with @mmvae.hookimpl"
        )
    roles: tuple[Role, ...] = get_args(Role)
    for role in roles:
        getattr(manager.hook, f"register_{role}s")(
            register=lambda offered, role=role: add_offer(offers, role, offered)
        )


def _cause(error: BaseException) -> str:
    """What went wrong, in one line."""
    if isinstance(error, pluggy.PluginValidationError):
        return " ".join(str(error).split())
    if isinstance(error, ModuleNotFoundError):
        return f"the module {error.name!r} that it needs is not installed"
    if isinstance(error, SystemExit):
        return f"it ends the program when it is imported (SystemExit: {error.code})"
    return " ".join(f"{type(error).__name__}: {error}".split())


def _distribution(entry: EntryPoint) -> str:
    return entry.dist.name if entry.dist else "unknown"

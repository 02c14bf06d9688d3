"""The switches: the plugins, commands and figures that the environment disables."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points

from mmvae.foundations.errors import UsageError, nearest
from mmvae.plugins.entry_points import COMMAND_ENTRIES, FIGURE_ENTRIES, PLUGIN_GROUP, maker

ONLY, WITHOUT = "MMVAE_PLUGINS", "MMVAE_DISABLE_PLUGINS"
"""The variables: enable only these plugins, and disable these; names with commas."""

CORE = "mmvae"
"""The distribution whose plugins are always enabled, unless they are explicitly disabled."""


@dataclass(frozen=True)
class Switches:
    """The environment's settings for all installed plugins.

    A name is that of a plugin or of a distribution. Commands and figures go with their
    distribution: they are enabled if it or one of its plugins is named, and disabled with it or
    with the last of its plugins.

    Attributes:
        only: Names in ``MMVAE_PLUGINS``; empty if all are enabled.
        without: Names in ``MMVAE_DISABLE_PLUGINS``.
        plugins: Distribution → names of its plugins.
    """

    only: frozenset[str]
    without: frozenset[str]
    plugins: Mapping[str, frozenset[str]]

    @classmethod
    def read(cls, environ: Mapping[str, str] | None = None) -> Switches:
        """Read the variables; default: the process's own.

        Raises:
            UsageError: A variable names something that is not installed.
        """
        variables = os.environ if environ is None else environ
        if not (variables.get(ONLY) or variables.get(WITHOUT)):  # spares reading all metadata
            return cls(frozenset(), frozenset(), {})
        plugins: dict[str, frozenset[str]] = {}
        for group in (PLUGIN_GROUP, COMMAND_ENTRIES, FIGURE_ENTRIES):
            for entry in entry_points(group=group):
                own = {entry.name} if group == PLUGIN_GROUP else set()
                owner = maker(entry)[0]
                plugins[owner] = plugins.get(owner, frozenset()) | own
        known = {*plugins, *(name for names in plugins.values() for name in names)}
        only, without = (_named(variables.get(name, ""), name, known) for name in (ONLY, WITHOUT))
        return cls(only, without, plugins)

    def reason(self, entry: EntryPoint) -> str:
        """Why this plugin, command or figure is disabled; empty if it is not."""
        owner = maker(entry)[0]
        plugin = entry.group == PLUGIN_GROUP
        names = frozenset({entry.name}) if plugin else self.plugins.get(owner, frozenset())
        if owner in self.without or (names and names <= self.without):
            return f"{WITHOUT} names it"
        if self.only and owner != CORE and not ({owner} | names) & self.only:
            return f"{ONLY} does not name it"
        return ""


def _named(text: str, variable: str, known: set[str]) -> frozenset[str]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    for name in names:
        if name not in known:
            raise UsageError(
                f"{variable} names {name!r}, which is no installed plugin or distribution of "
                f"plugins; installed: {', '.join(sorted(known)) or 'none'}.{nearest(name, known)}"
            )
    return frozenset(names)

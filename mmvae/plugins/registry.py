"""The registry: which codecs, sources, models and so on there are, and from which plugins."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from mmvae.foundations.errors import ConfigError, PluginError, nearest
from mmvae.plugins.offer import Offer, add_offer
from mmvae.plugins.plugin_info import PluginInfo
from mmvae.plugins.roles import ROLES

IN_MEMORY = "memory"
"""The name used as the distribution of classes that were passed in memory."""


@dataclass(frozen=True)
class Registry:
    """All that is installed, by role and kind, and the plugins that it came from.

    Attributes:
        plugins: Every plugin found, sorted by name, broken and disabled ones included.
    """

    plugins: Sequence[PluginInfo] = ()

    @classmethod
    def of(cls, **classes: Iterable[type[Any]]) -> Registry:
        """A registry of these classes alone, made in memory, for tests and notebooks.

        Args:
            classes: The plural of a role, such as ``codecs`` or ``families`` → its classes.

        Raises:
            TypeError: A class does not fulfil its role, or there is no such role.
        """
        plurals = {role.plural: role for role in ROLES.values()}
        if unknown := [word for word in classes if word not in plurals]:
            raise TypeError(
                f"Registry.of takes no classes {unknown[0]!r}; expected some of "
                f"{', '.join(plurals)}.{nearest(unknown[0], plurals)}"
            )
        offers: list[Offer] = []
        for word, role in plurals.items():
            for offered in classes.get(word, ()):
                add_offer(offers, role, offered)
        return cls([PluginInfo(IN_MEMORY, IN_MEMORY, "0", offers=tuple(offers))])

    def kinds(self, role: str) -> Mapping[str, type[Any]]:
        """All classes in this role by kind, sorted; kinds that two plugins offer are left out."""
        return self._classes[role]

    @cached_property
    def _classes(self) -> Mapping[str, Mapping[str, type[Any]]]:
        offers = [o for plugin in self.plugins if plugin.state == "ok" for o in plugin.offers]
        alone = [o for o in offers if not self.conflict(o.role, o.kind)]
        alone.sort(key=lambda offer: offer.kind)
        return {role: {o.kind: o.offered for o in alone if o.role == role} for role in ROLES}

    def provider(self, role: str, kind: str) -> PluginInfo:
        """The plugin that offers this kind; raises as :meth:`find` does."""
        self.find(role, kind)
        return self._providers(role, kind)[0]

    @property
    def broken(self) -> list[PluginInfo]:
        """The plugins that could not be used."""
        return [plugin for plugin in self.plugins if plugin.state == "broken"]

    @property
    def conflicts(self) -> list[str]:
        """One sentence for each kind that more than one plugin offers."""
        offers = {str(offer): offer for plugin in self.plugins for offer in plugin.offers}
        found = [self.conflict(offer.role, offer.kind) for offer in offers.values()]
        return [conflict for conflict in found if conflict]

    def conflict(self, role: str, kind: str) -> str:
        """That more than one plugin offers this kind; empty if none or one does."""
        providers = self._providers(role, kind)
        if len(providers) < 2:
            return ""
        return (
            f"{role} {kind!r} is offered by {len(providers)} plugins: "
            f"{', '.join(map(str, providers))}. Uninstall all but one, or name the others in "
            f"MMVAE_DISABLE_PLUGINS"
        )

    def _providers(self, role: str, kind: str) -> list[PluginInfo]:
        def offers(plugin: PluginInfo) -> bool:
            return any((offer.role, offer.kind) == (role, kind) for offer in plugin.offers)

        return [plugin for plugin in self.plugins if plugin.state == "ok" and offers(plugin)]

    def find(self, role: str, kind: str) -> type[Any]:
        """The class of this kind in this role.

        Raises:
            ConfigError: No installed plugin offers it.
            PluginError: Two plugins offer it, or a broken one might.
        """
        known = self.kinds(role)
        if kind in known:
            return known[kind]
        if conflict := self.conflict(role, kind):
            raise PluginError(conflict)
        disabled = [plugin.name for plugin in self.plugins if plugin.state == "disabled"]
        message = (
            f"unknown {role} {kind!r}; installed plugins offer: {', '.join(known) or 'none'}."
            f"{nearest(kind, known)}"
            + (f" Disabled plugins: {', '.join(disabled)}." if disabled else "")
        )
        if not self.broken:
            raise ConfigError(f"{message} `mmvae plugins list` shows where each comes from.")
        offered = [
            plugin
            for plugin in self.broken
            if any((offer.role, offer.kind) == (role, kind) for offer in plugin.offers)
        ]
        if offered:
            raise PluginError(f"{role} {kind!r} is offered by plugin {offered[0].complaint}")
        causes = " ".join(plugin.complaint for plugin in self.broken)
        raise PluginError(f"{message} A broken plugin may have offered it: {causes}")

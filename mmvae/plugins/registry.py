"""The registry: which codecs, sources, models and so on there are, and from which plugins."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import BaseModel, PydanticUserError

from mmvae.data.generator import Maker, MakerConfig
from mmvae.data.source import Source, SourceConfig
from mmvae.foundations.errors import ConfigError, PluginError, nearest
from mmvae.modalities.codec import Codec, CodecConfig
from mmvae.models.families import Family, FamilyConfig, PosteriorKeys, PriorKeys

Role = Literal["codec", "source", "maker", "model", "family", "extension", "metric", "observer"]
State = Literal["ok", "broken", "disabled"]

_BASES: dict[Role, tuple[type, type[BaseModel]]] = {
    "codec": (Codec, CodecConfig),
    "source": (Source, SourceConfig),
    "maker": (Maker, MakerConfig),
    "family": (Family, FamilyConfig),
    "model": (object, BaseModel),  # models fulfil a protocol of a higher floor,
    "extension": (object, BaseModel),  # extensions, metrics and observers likewise
    "metric": (object, BaseModel),
    "observer": (object, BaseModel),
}
CHOOSING: Mapping[Role, str] = {
    "codec": "codec",
    "source": "source",
    "model": "kind",
    "family": "family",
    "metric": "kind",
    "observer": "kind",
}
"""The key of a config that chooses a class of this role."""

TAKEN: Mapping[Role, tuple[str, ...]] = {
    "family": (*PosteriorKeys.model_fields, *PriorKeys.model_fields),
}
"""Further keys that tables of this role have from the core."""

IN_MEMORY = "memory"
"""What stands for the distribution of classes that were passed in memory."""

SLOW_S = 5.0
"""Seconds of importing after which a plugin is called slow."""

_KIND = re.compile(r"[a-z0-9]+([-_.][a-z0-9]+)*")
_TABLE = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
TOP_LEVEL = (
    "name",
    "data",
    "modalities",
    "model",
    "posterior",
    "prior",
    "train",
    "evaluate",
    "metrics",
    "observers",
    "reference",
)
"""Keys and tables of a config that are the core's own."""


@dataclass(frozen=True)
class Offer:
    """One thing that a plugin registered: a class in a role under the word that configs use."""

    role: Role
    kind: str
    offered: type[Any]

    def __str__(self) -> str:
        return f"{self.role} {self.kind}"


@dataclass(frozen=True)
class PluginInfo:
    """One plugin and how it fared.

    Attributes:
        name: Name of the entry point; ``MMVAE_PLUGINS`` takes it, or the distribution's.
        distribution: The installed distribution that brings it.
        version: That distribution's version.
        state: ``ok``, ``broken`` or ``disabled``.
        offers: What it registered; of a broken plugin, what it had registered before it failed.
        error: Why it is broken or disabled, in one line; empty if ok.
        traceback: The full traceback of a broken plugin; empty otherwise.
        contract: The version of the plugin contract that it states; None if it states none.
        seconds: How long its import took.
    """

    name: str
    distribution: str
    version: str
    state: State = "ok"
    offers: tuple[Offer, ...] = ()
    error: str = ""
    traceback: str = ""
    contract: int | None = None
    seconds: float = 0.0

    def __str__(self) -> str:
        return f"{self.name} ({self.distribution} {self.version})"

    @property
    def warning(self) -> str:
        """What people should be told of it though nothing needs it; empty if nothing."""
        if self.state == "broken":
            return f"plugin {self.complaint}"
        if self.seconds > SLOW_S:
            return (
                f"plugin {self} took {self.seconds:.0f} s to import, as it will with every "
                f"command. MMVAE_DISABLE_PLUGINS={self.name} leaves it out; its authors can "
                f"import what is large inside the functions that use it."
            )
        return ""

    @property
    def complaint(self) -> str:
        """Who is broken or disabled and why, and how to mend it."""
        if self.state == "disabled":
            return f"{self} is disabled: {self.error}."
        return (
            f"{self} is broken: {self.error.rstrip('.')}. Mend it (pip install --upgrade "
            f"{self.distribution}), uninstall it, or leave it out with "
            f"MMVAE_DISABLE_PLUGINS={self.name}; `mmvae plugins list --traceback` shows more."
        )


@dataclass(frozen=True)
class Registry:
    """All that is installed, by role and kind, and the plugins that it came from.

    Attributes:
        codecs: Codec classes by kind, sorted; kinds that two plugins offer are left out.
        sources: Source classes, likewise.
        makers: Maker classes, likewise.
        models: Model classes, likewise.
        families: Classes of families of distributions over z, likewise.
        extensions: Extension classes, likewise.
        metrics: Metric classes, likewise.
        observers: Observer classes, likewise.
        plugins: Every plugin found, sorted by name, broken and disabled ones included.
    """

    codecs: Mapping[str, type[Codec]] = field(default_factory=dict)
    sources: Mapping[str, type[Source]] = field(default_factory=dict)
    makers: Mapping[str, type[Maker]] = field(default_factory=dict)
    models: Mapping[str, type[Any]] = field(default_factory=dict)
    families: Mapping[str, type[Family]] = field(default_factory=dict)
    extensions: Mapping[str, type[Any]] = field(default_factory=dict)
    metrics: Mapping[str, type[Any]] = field(default_factory=dict)
    observers: Mapping[str, type[Any]] = field(default_factory=dict)
    plugins: Sequence[PluginInfo] = ()

    @classmethod
    def of(
        cls,
        *,
        codecs: Iterable[type[Codec]] = (),
        sources: Iterable[type[Source]] = (),
        makers: Iterable[type[Maker]] = (),
        models: Iterable[type[Any]] = (),
        families: Iterable[type[Family]] = (),
        extensions: Iterable[type[Any]] = (),
        metrics: Iterable[type[Any]] = (),
        observers: Iterable[type[Any]] = (),
    ) -> Registry:
        """A registry of these classes alone, made in memory, for tests and notebooks.

        Raises:
            TypeError: A class does not fulfil its role.
        """
        offers: list[Offer] = []
        roles: dict[Role, Iterable[type[Any]]]
        roles = {
            "codec": codecs,
            "source": sources,
            "maker": makers,
            "model": models,
            "family": families,
            "extension": extensions,
            "metric": metrics,
            "observer": observers,
        }
        for role, classes in roles.items():
            for offered in classes:
                add_offer(offers, role, offered)
        return cls.from_plugins([PluginInfo(IN_MEMORY, IN_MEMORY, "0", offers=tuple(offers))])

    @classmethod
    def from_plugins(cls, plugins: Sequence[PluginInfo]) -> Registry:
        """Join what the sound plugins offer."""
        offers = [offer for plugin in plugins if plugin.state == "ok" for offer in plugin.offers]

        def unique(role: Role) -> dict[str, type[Any]]:
            kinds = [offer.kind for offer in offers if offer.role == role]
            by_kind = {offer.kind: offer.offered for offer in offers if offer.role == role}
            return {kind: by_kind[kind] for kind in sorted(by_kind) if kinds.count(kind) == 1}

        return cls(
            unique("codec"),
            unique("source"),
            unique("maker"),
            unique("model"),
            unique("family"),
            unique("extension"),
            unique("metric"),
            unique("observer"),
            tuple(plugins),
        )

    def codec(self, kind: str) -> type[Codec]:
        """The codec class of this kind.

        Raises:
            ConfigError: No installed plugin offers it.
            PluginError: Two plugins offer it, or a broken one might.
        """
        return self.find("codec", kind)

    def source(self, kind: str) -> type[Source]:
        """The source class of this kind; raises as :meth:`codec` does."""
        return self.find("source", kind)

    def maker(self, kind: str) -> type[Maker]:
        """The maker class of this kind; raises as :meth:`codec` does."""
        return self.find("maker", kind)

    def model(self, kind: str) -> type[Any]:
        """The model class of this kind; raises as :meth:`codec` does."""
        return self.find("model", kind)

    def family(self, kind: str) -> type[Family]:
        """The class of this family; raises as :meth:`codec` does."""
        return self.find("family", kind)

    def extension(self, kind: str) -> type[Any]:
        """The extension class of this kind; raises as :meth:`codec` does."""
        return self.find("extension", kind)

    def metric(self, kind: str) -> type[Any]:
        """The metric class of this kind; raises as :meth:`codec` does."""
        return self.find("metric", kind)

    def observer(self, kind: str) -> type[Any]:
        """The observer class of this kind; raises as :meth:`codec` does."""
        return self.find("observer", kind)

    def kinds(self, role: Role) -> Mapping[str, type[Any]]:
        """All classes in this role, by kind."""
        by_role: dict[Role, Mapping[str, type[Any]]]
        by_role = {
            "codec": self.codecs,
            "source": self.sources,
            "maker": self.makers,
            "model": self.models,
            "family": self.families,
            "extension": self.extensions,
            "metric": self.metrics,
            "observer": self.observers,
        }
        return by_role[role]

    def provider(self, role: Role, kind: str) -> PluginInfo:
        """The plugin that offers this kind; raises as :meth:`codec` does."""
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

    def conflict(self, role: Role, kind: str) -> str:
        """That more than one plugin offers this kind; empty if none or one does."""
        providers = self._providers(role, kind)
        if len(providers) < 2:
            return ""
        return (
            f"{role} {kind!r} is offered by {len(providers)} plugins: "
            f"{', '.join(map(str, providers))}. Uninstall all but one, or name the others in "
            f"MMVAE_DISABLE_PLUGINS"
        )

    def _providers(self, role: Role, kind: str) -> list[PluginInfo]:
        def offers(plugin: PluginInfo) -> bool:
            return any((offer.role, offer.kind) == (role, kind) for offer in plugin.offers)

        return [plugin for plugin in self.plugins if plugin.state == "ok" and offers(plugin)]

    def find(self, role: Role, kind: str) -> type[Any]:
        """The class of this kind in this role; raises as :meth:`codec` does."""
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


def plural(role: Role) -> str:
    """The word for several classes of a role, which ends the name of its hook."""
    return f"{role.removesuffix('y')}ies" if role.endswith("y") else f"{role}s"


def add_offer(offers: list[Offer], role: Role, offered: Any) -> None:
    """Add a class to ``offers`` after checking that it can serve in ``role``.

    Raises:
        TypeError: It cannot; the message says what it lacks.
    """
    base, config = _BASES[role]
    if not (isinstance(offered, type) and issubclass(offered, base)):
        raise TypeError(f"it registers {offered!r} as a {role}: expected a subclass of {base}")
    kind = getattr(offered, "kind", None)
    where = f"its {role} {offered.__name__}"
    if not (isinstance(kind, str) and _KIND.fullmatch(kind)):
        raise TypeError(
            f"{where} has kind {kind!r}: expected a word such as 'gaussian-image' "
            f"(lower-case letters and digits, parts joined by - _ or .)"
        )
    if role == "extension" and not _names_table(kind):
        raise TypeError(
            f"{where} has kind {kind!r}, which cannot name a table of its own: expected a word "
            f"such as 'adversary', of a-z, 0-9 and _, and none of {', '.join(TOP_LEVEL)}"
        )
    schema = getattr(offered, "Config", None)
    if not (isinstance(schema, type) and issubclass(schema, config)):
        raise TypeError(f"{where} has Config {schema!r}: expected a subclass of {config}")
    _check_keys(where, role, schema)
    if inspect.isabstract(offered):
        lacking = ", ".join(sorted(getattr(offered, "__abstractmethods__", ())))
        raise TypeError(f"{where} leaves out what every {role} must define: {lacking}")
    if any((offer.role, offer.kind) == (role, kind) for offer in offers):
        raise TypeError(f"it registers two {plural(role)} of kind {kind!r}")
    offers.append(Offer(role, kind, offered))


def _check_keys(where: str, role: Role, schema: type[BaseModel]) -> None:
    """One Config that cannot be part of a config's schema would spoil the schema of all.

    Raises:
        TypeError: It uses a key that the core needs, or has no JSON Schema.
    """
    if CHOOSING.get(role, "") in schema.model_fields:
        raise TypeError(
            f"{where} has a Config with the key {CHOOSING[role]!r}, which chooses the {role}: "
            f"give that key another name"
        )
    if taken := [key for key in TAKEN.get(role, ()) if key in schema.model_fields]:
        raise TypeError(
            f"{where} has a Config with the key {taken[0]!r}, which every {role} has from the "
            f"core: give that key another name"
        )
    try:
        schema.model_json_schema()
    except (PydanticUserError, NameError) as error:
        raise TypeError(
            f"{where} has a Config without a JSON Schema; expected fields that TOML can "
            f"write: {error}"
        ) from error


def _names_table(kind: str) -> bool:
    """Whether a config can have a table of this name beside the core's own."""
    free = kind not in (*TOP_LEVEL, "extensions") and not hasattr(BaseModel, kind)
    return free and _TABLE.fullmatch(kind) is not None

"""The contracts that a plugin must keep: for one kind, or for everything in a distribution."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pydantic import ValidationError

from mmvae.foundations.errors import PluginError, UsageError, nearest, require, short
from mmvae.modalities.codec_examples import Examples, examples_of
from mmvae.plugins.commands import OfferedCommand
from mmvae.plugins.offer import Offer
from mmvae.plugins.plugin_info import PluginInfo
from mmvae.plugins.registry import Registry
from mmvae.plugins.version import STATEMENT, VERSION, stated_version
from mmvae.testing.codec import CodecContract
from mmvae.testing.command import CommandContract
from mmvae.testing.contract import Contract, Verdict, verdicts
from mmvae.testing.extension import ExtensionContract
from mmvae.testing.family import FamilyContract
from mmvae.testing.maker import MakerContract
from mmvae.testing.metric import MetricContract
from mmvae.testing.model import ModelContract
from mmvae.testing.observer import ObserverContract
from mmvae.testing.source import SourceContract
from mmvae.testing.stage import MODALITIES
from mmvae.testing.suite import Suite

_SUITES: tuple[type[Suite], ...] = (
    CodecContract,
    SourceContract,
    MakerContract,
    ModelContract,
    FamilyContract,
    ExtensionContract,
    MetricContract,
    ObserverContract,
)
SUITES: dict[str, type[Suite]] = {suite.role: suite for suite in _SUITES}
"""Role → its suite. Every role has one."""

NO_EXAMPLES = (
    "it brings no examples: define the classmethod examples on the codec, or run the tests of its "
    "distribution"
)


@dataclass(frozen=True)
class Checked:
    """One offer of a plugin or a distribution, and the outcome of its checks.

    Attributes:
        role: A role of the registry, ``command`` or ``figure``.
        kind: Its word.
        origin: The plugin that offers it, or the distribution of a command.
        verdicts: One for each check; empty if none could be run.
        reason: Why none could be run; empty otherwise.
    """

    role: str
    kind: str
    origin: PluginInfo
    verdicts: tuple[Verdict, ...] = ()
    reason: str = ""

    @property
    def broken(self) -> list[Verdict]:
        """The checks that failed."""
        return [verdict for verdict in self.verdicts if verdict.state == "broken"]

    @property
    def remark(self) -> str:
        """Advice for its authors although no check fails; empty if none."""
        if self.origin.contract is not None or self.origin.distribution == "mmvae":
            return ""
        return (
            f"it does not say for which version of the contract it was written: put "
            f"{STATEMENT} = {VERSION} into the module of its entry point"
        )


def check(
    registry: Registry,
    name: str,
    keys: Mapping[str, Any] | None = None,
    commands: Sequence[OfferedCommand] = (),
) -> list[Checked]:
    """Run the contracts of everything called ``name``.

    Args:
        registry: The installed plugins.
        name: A kind, a plugin, a distribution, or a command.
        keys: Keys of the Config of each, beside those of its examples.
        commands: The installed commands and figures.

    Raises:
        UsageError: Nothing has this name, or a key is wrong.
        PluginError: The plugin is broken, disabled, or offers a kind that another offers too.
    """
    named = [c for c in commands if name in (c.name, c.distribution)]
    found = offers(registry, name, [word for c in commands for word in (c.name, c.distribution)])
    checked = [_checked(plugin, offer, keys or {}) for plugin, offer in found]
    return checked + [_checked_command(command) for command in named]


def offers(
    registry: Registry, name: str, others: Sequence[str] = ()
) -> list[tuple[PluginInfo, Offer]]:
    """The offers called ``name``: those of this kind, or all of that plugin or distribution.

    Args:
        registry: The installed plugins.
        name: A kind, a plugin or a distribution.
        others: Names of other things, which may be without an offer.

    Raises:
        UsageError: Nothing has this name.
        PluginError: See :func:`check`.
    """
    named = [p for p in registry.plugins if name in (p.name, p.distribution)]
    for plugin in named:
        if plugin.state != "ok":
            raise PluginError(f"plugin {plugin.complaint}")
    found = [(p, o) for p in registry.plugins for o in p.offers if p in named or o.kind == name]
    found = [(p, o) for p, o in found if p.state == "ok"]
    if not found and not named and name not in others:
        _refuse(registry, name, others)
    for _, offer in found:
        registry.find(offer.role, offer.kind)  # raises if another plugin offers it too
    return found


def _refuse(registry: Registry, name: str, others: Sequence[str]) -> None:
    """Raise that nothing is called ``name``; a broken plugin may have offered it."""
    known = {*others, *(o.kind for p in registry.plugins for o in p.offers)}
    known |= {word for p in registry.plugins for word in (p.name, p.distribution)}
    message = (
        f"{name!r} is no installed kind, plugin, distribution or command.{nearest(name, known)} "
        f"`mmvae plugins list` shows what there is."
    )
    if registry.broken:
        causes = " ".join(plugin.complaint for plugin in registry.broken)
        raise PluginError(f"{message} A broken plugin may have offered it: {causes}")
    raise UsageError(message)


def _checked(plugin: PluginInfo, offer: Offer, keys: Mapping[str, Any]) -> Checked:
    try:
        contract = _contract(offer, keys)
    except (Exception, SystemExit) as error:  # third-party examples may fail in any way
        if isinstance(error, UsageError):
            raise
        reason = f"Wanted examples and a Config; got {type(error).__name__}: {error}"
        broken = (Verdict("test_examples", "broken", reason),)
        return Checked(offer.role, offer.kind, plugin, broken)
    if isinstance(contract, str):
        return Checked(offer.role, offer.kind, plugin, reason=contract)
    return Checked(offer.role, offer.kind, plugin, tuple(verdicts(contract)))


def _checked_command(offered: OfferedCommand) -> Checked:
    """The checks of a command; the first is that it can be loaded.

    Raises:
        PluginError: The environment disables it.
    """
    origin = PluginInfo("", offered.distribution, offered.version)
    if offered.disabled:
        offered.load()  # says why
    try:
        origin = replace(origin, contract=stated_version(offered.entry))
        loaded = offered.load()
    except PluginError as error:
        broken = (
            Verdict("test_it_is_a_command", "broken", f"Wanted a click command; got {error}"),
        )
        return Checked(offered.word, offered.name, origin, broken)

    class Offered(CommandContract):
        command = loaded

    return Checked(offered.word, offered.name, origin, tuple(verdicts(Offered())))


def _contract(offer: Offer, keys: Mapping[str, Any]) -> Contract | str:
    """The contract of an offer, or the reason why there is nothing to try."""
    suite = SUITES[offer.role]
    if issubclass(suite, CodecContract):
        examples = examples_of(offer.offered, keys)
        if examples is None:
            return NO_EXAMPLES
        wanted = "examples to give mmvae.Examples, or None"
        require(isinstance(examples, Examples), wanted, short(examples))
    try:
        return suite.of(offer.offered, keys)
    except ValidationError as error:
        missing = [".".join(map(str, e["loc"])) for e in error.errors() if e["type"] == "missing"]
        if missing and len(missing) == error.error_count():
            hint = f"; the modalities are {' and '.join(MODALITIES)}" if suite.on_stage else ""
            return f"give its keys without default: {' '.join(f'-s {m}=…' for m in missing)}{hint}"
        raise UsageError(f"{offer}: {'; '.join(_problem(e) for e in error.errors())}") from error


def _problem(error: Any) -> str:
    return f"{'.'.join(map(str, error['loc'])) or 'its keys'}: {error['msg']}"

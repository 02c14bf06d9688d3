"""Which contracts a plugin has to keep: of one kind, or of all that a distribution offers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from mmvae.contract import STATEMENT, VERSION
from mmvae.errors import PluginError, UsageError, nearest
from mmvae.registry import Offer, PluginInfo, Registry
from mmvae.testing.codec import CodecContract
from mmvae.testing.contract import Contract, Verdict, verdicts
from mmvae.testing.family import FamilyContract
from mmvae.testing.model import MODALITIES, ModelContract
from mmvae.testing.source import SourceContract

NO_EXAMPLES = (
    "it brings no examples: define the classmethod examples on the codec, or run the tests of its "
    "distribution"
)


@dataclass(frozen=True)
class Checked:
    """One offer and what became of its checks.

    Attributes:
        plugin: The plugin that offers it.
        offer: What was checked.
        verdicts: One for each check; empty if none could be tried.
        reason: Why none could be tried; empty otherwise.
    """

    plugin: PluginInfo
    offer: Offer
    verdicts: tuple[Verdict, ...] = ()
    reason: str = ""

    @property
    def broken(self) -> list[Verdict]:
        """The checks that failed."""
        return [verdict for verdict in self.verdicts if verdict.state == "broken"]

    @property
    def remark(self) -> str:
        """What its authors should do though no check fails; empty if nothing."""
        if self.plugin.contract is not None or self.plugin.distribution == "mmvae":
            return ""
        return (
            f"it does not say for which version of the contract it was written: put "
            f"{STATEMENT} = {VERSION} into the module of its entry point"
        )


def check(registry: Registry, name: str, keys: Mapping[str, Any] | None = None) -> list[Checked]:
    """Run the contracts of everything called ``name``.

    Args:
        registry: What is installed.
        name: A kind, a plugin, or a distribution.
        keys: Keys of the Config of each, beside those of its examples.

    Raises:
        UsageError: Nothing has this name, or a key is wrong.
        PluginError: The plugin is broken, disabled, or at odds with another about a kind.
    """
    found = offers(registry, name)
    return [_checked(plugin, offer, keys or {}) for plugin, offer in found]


def offers(registry: Registry, name: str) -> list[tuple[PluginInfo, Offer]]:
    """What is called ``name``: offers of this kind, or all of that plugin or distribution.

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
    if not found and not named:
        _refuse(registry, name)
    for _, offer in found:
        registry.find(offer.role, offer.kind)  # raises if another plugin offers it too
    return found


def _refuse(registry: Registry, name: str) -> None:
    """Say that nothing is called ``name``; a broken plugin may have offered it."""
    known = {o.kind for p in registry.plugins for o in p.offers}
    known |= {word for p in registry.plugins for word in (p.name, p.distribution)}
    message = (
        f"{name!r} is no installed kind, plugin or distribution.{nearest(name, known)} "
        f"`mmvae plugins list` shows what there is."
    )
    if registry.broken:
        causes = " ".join(plugin.complaint for plugin in registry.broken)
        raise PluginError(f"{message} A broken plugin may have offered it: {causes}")
    raise UsageError(message)


def _checked(plugin: PluginInfo, offer: Offer, keys: Mapping[str, Any]) -> Checked:
    try:
        contract = _contract(offer, keys)
    except (Exception, SystemExit) as error:  # a stranger's examples may fail in any way
        if isinstance(error, UsageError):
            raise
        reason = f"Wanted examples and a Config; got {type(error).__name__}: {error}"
        return Checked(plugin, offer, (Verdict("test_examples", "broken", reason),))
    if isinstance(contract, str):
        return Checked(plugin, offer, reason=contract)
    return Checked(plugin, offer, tuple(verdicts(contract)))


def _contract(offer: Offer, keys: Mapping[str, Any]) -> Contract | str:
    """The contract of an offer, or the reason why there is nothing to try."""
    if offer.role == "codec":
        examples = offer.offered.examples()
        if examples is None:
            return NO_EXAMPLES
        keys = {**examples.keys, **keys}
    contracts = {"codec": _codec, "source": _source, "model": _model, "family": _family}
    if offer.role not in contracts:
        return f"there is no conformance suite for a {offer.role}"
    known = {"modalities": list(MODALITIES)} if offer.role == "model" else None
    try:
        config = offer.offered.Config.model_validate(dict(keys), context=known)
    except ValidationError as error:
        missing = [".".join(map(str, e["loc"])) for e in error.errors() if e["type"] == "missing"]
        if missing and len(missing) == error.error_count():
            hint = f"; the modalities are {' and '.join(MODALITIES)}" if known else ""
            return f"give its keys without default: -s {missing[0]}=…{hint}"
        raise UsageError(f"{offer}: {'; '.join(_problem(e) for e in error.errors())}") from error
    return contracts[offer.role](offer.offered, config)


def _problem(error: Any) -> str:
    return f"{'.'.join(map(str, error['loc'])) or 'its keys'}: {error['msg']}"


def _codec(kind: type[Any], config: Any) -> Contract:
    class Codec(CodecContract):
        codec = kind

        def make_codec(self) -> Any:
            return kind(config)

    return Codec()


def _source(kind: type[Any], config: Any) -> Contract:
    class Source(SourceContract):
        def make_source(self) -> Any:
            return kind(config)

    return Source()


def _family(kind: type[Any], config: Any) -> Contract:
    class Family(FamilyContract):
        def make_family(self) -> Any:
            return kind(config)

    return Family()


def _model(kind: type[Any], config: Any) -> Contract:
    class Model(ModelContract):
        model = kind

        def make_config(self) -> Any:
            return config

    return Model()

"""Provenance: the plugins that a run or a model was made with, and their differences here."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from mmvae.foundations.errors import (
    LISTED,
    LONGEST,
    CheckpointError,
    PluginError,
    PluginWarning,
    shortened,
)
from mmvae.foundations.json_document import problem_of
from mmvae.plugins.registry import IN_MEMORY, Registry
from mmvae.plugins.roles import ROLES


class Maker(BaseModel):
    """The plugin that provided something, as it was at that time."""

    model_config = ConfigDict(frozen=True)

    distribution: str
    version: str
    plugin: str

    def __str__(self) -> str:
        return f"{self.distribution} {self.version}"

    @property
    def pip(self) -> str:
        """The command that installs it."""
        return f"pip install {self.distribution}=={self.version}"


_RECORD = TypeAdapter(dict[str, Maker])


def of_a_model(made_with: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a run's provenance that its model carries along."""
    needed = [role.name for role in ROLES.values() if role.of_model]
    return {offer: maker for offer, maker in made_with.items() if offer.split(" ")[0] in needed}


def require_plugins(made_with: Mapping[str, Any], registry: Registry, origin: object) -> None:
    """Check that the plugins which something was made with are installed; warn if versions differ.

    Args:
        made_with: The record: ``"codec angle"`` → distribution, version and plugin.
        registry: The installed plugins.
        origin: Its name in messages: the folder of a run or a model.

    Raises:
        PluginError: Some are missing, broken or disabled; the message says how to get each.
        CheckpointError: The record cannot be read.
    """
    try:
        record = _RECORD.validate_python(made_with)
    except ValidationError as error:
        raise CheckpointError(
            f"{origin}: its record of plugins cannot be read ({problem_of(error)})."
        ) from error
    missing = []
    for offer, maker in record.items():
        role, _, kind = offer.partition(" ")
        if role not in ROLES or kind not in registry.kinds(role):
            missing.append((offer, maker))
            continue
        here = registry.provider(role, kind)
        now = f"{here.distribution} {here.version}"
        # The core reads what older versions of it wrote.
        comparable = not {here.distribution, maker.distribution} & {"mmvae", IN_MEMORY}
        if comparable and now != str(maker):
            warnings.warn(
                f"{origin} was made with {role} {kind!r} of {maker}; here it is that of {now}, "
                f"which may give other results. For the same one: {maker.pip}",
                PluginWarning,
                stacklevel=3,
            )
    if missing:
        said = [shortened(_missing(*one, registry), LONGEST) for one in missing[:LISTED]]
        rest = f" These are {LISTED} of {len(missing):,}." if len(missing) > LISTED else ""
        raise PluginError(f"{origin} needs plugins that are not available. {' '.join(said)}{rest}")


def _missing(offer: str, maker: Maker, registry: Registry) -> str:
    """A message about a missing offer: the reason and how to get it."""
    role, _, kind = offer.partition(" ")
    if role in ROLES and (conflict := registry.conflict(role, kind)):
        return f"{conflict}."
    return f"{role} {kind!r} of {maker}: {_reason(maker, registry)}"


def _reason(maker: Maker, registry: Registry) -> str:
    """Why something that a plugin offered is missing here, and how to get it."""
    if maker.distribution == IN_MEMORY:
        return "it was passed in memory; pass the same registry."
    installed = [p for p in registry.plugins if p.distribution == maker.distribution]
    for plugin in installed:
        if plugin.state != "ok":
            return f"plugin {plugin.complaint}"
    if installed:
        return f"{installed[0].version} is installed, which does not offer it; {maker.pip}."
    return f"not installed; {maker.pip}."

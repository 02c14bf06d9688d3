"""Offers: what a plugin registered, checked for whether it can serve in its role."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, PydanticUserError

from mmvae.plugins.roles import Role, top_level

_KIND = re.compile(r"[a-z0-9]+([-_.][a-z0-9]+)*")
_TABLE = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")


@dataclass(frozen=True)
class Offer:
    """One thing that a plugin registered: a class in a role under the word that configs use."""

    role: str
    kind: str
    offered: type[Any]

    def __str__(self) -> str:
        return f"{self.role} {self.kind}"


def add_offer(offers: list[Offer], role: Role, offered: Any) -> None:
    """Add a class to ``offers`` after checking that it can serve in ``role``.

    Raises:
        TypeError: It cannot; the message says what it lacks.
    """
    if not (isinstance(offered, type) and issubclass(offered, role.base)):
        a = "an" if role.name[0] in "aeiou" else "a"
        raise TypeError(
            f"it registers {offered!r} as {a} {role}: expected a subclass of {role.base}"
        )
    kind = getattr(offered, "kind", None)
    where = f"its {role} {offered.__name__}"
    if not (isinstance(kind, str) and _KIND.fullmatch(kind)):
        raise TypeError(
            f"{where} has kind {kind!r}: expected a word such as 'gaussian-image' "
            f"(lower-case letters and digits, parts joined by - _ or .)"
        )
    if role.own_table and not _names_table(kind):
        raise TypeError(
            f"{where} has kind {kind!r}, which cannot name a table of its own: expected a word "
            f"such as 'adversary', of a-z, 0-9 and _, and none of {', '.join(top_level())}"
        )
    schema = getattr(offered, "Config", None)
    if not (isinstance(schema, type) and issubclass(schema, role.config)):
        raise TypeError(f"{where} has Config {schema!r}: expected a subclass of {role.config}")
    _check_keys(where, role, schema)
    if lacking := sorted({*getattr(offered, "__abstractmethods__", ()), *_undefined(offered)}):
        raise TypeError(f"{where} leaves out what every {role} must define: {', '.join(lacking)}")
    if any((offer.role, offer.kind) == (role.name, kind) for offer in offers):
        raise TypeError(f"it registers two {role.plural} of kind {kind!r}")
    offers.append(Offer(role.name, kind, offered))


def _undefined(offered: type[Any]) -> Sequence[str]:
    """The methods that a class must define unless another one replaces them."""
    undefined: Callable[[], Sequence[str]] | None = getattr(offered, "undefined", None)
    return undefined() if undefined else ()


def _check_keys(where: str, role: Role, schema: type[BaseModel]) -> None:
    """One Config that cannot be part of a config's schema would spoil the schema of all.

    Raises:
        TypeError: It uses a key that the core needs, or has no JSON Schema.
    """
    if role.key in schema.model_fields:
        raise TypeError(
            f"{where} has a Config with the key {role.key!r}, which chooses the {role}: "
            f"give that key another name"
        )
    if taken := [key for key in role.taken if key in schema.model_fields]:
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
    """True if a config can have a table of this name beside the core's own."""
    free = kind not in (*top_level(), "extensions") and not hasattr(BaseModel, kind)
    return free and _TABLE.fullmatch(kind) is not None

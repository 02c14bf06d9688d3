"""A contract: checks named ``test_…`` that pytest collects, and that run without it."""

from __future__ import annotations

import json
import tomllib
import traceback
import unittest
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any, ClassVar, Literal, NoReturn

import tomli_w
from pydantic import BaseModel

from mmvae.foundations.errors import LONG, shortened
from mmvae.foundations.errors import ContractBroken as ContractBroken
from mmvae.foundations.errors import require as require
from mmvae.plugins.offer import add_offer
from mmvae.plugins.roles import ROLES

State = Literal["kept", "broken", "not tried"]


class Contract:
    """Base of the conformance suites; a check is a method whose name begins with ``test_``.

    Each cause is reported once. A failing check counts as not tried if a check that it needs fails
    as well: one of :attr:`foundations` before it, or one that :func:`needs` names.
    """

    foundations: ClassVar[tuple[str, ...]] = ()
    """The checks without which others are meaningless, in their order."""

    def __init_subclass__(cls, **keys: Any) -> None:
        super().__init_subclass__(**keys)
        for name, check in list(vars(cls).items()):
            if name.startswith("test_") and cls.__module__.startswith(__package__):
                setattr(cls, name, _reported_once(name, check))

    def _needed(self, name: str) -> list[str]:
        """The checks that a check needs, in their order."""
        base = self.foundations
        before = base[: base.index(name)] if name in base else base
        return [*before, *getattr(getattr(self, name), "needs", ())]

    def _cause(self, name: str) -> str:
        """The failing check that explains why this one fails; empty if there is none."""
        for needed in self._needed(name):
            try:
                getattr(self, needed)()
            except Explained as explained:
                return explained.cause
            except unittest.SkipTest:
                continue
            except (Exception, SystemExit):
                return needed
        return ""


class Explained(unittest.SkipTest):
    """A check fails because another one does.

    Args:
        cause: The other check, ``test_…``.
    """

    def __init__(self, cause: str) -> None:
        super().__init__(f"not run, because this check fails: {title(cause)}")
        self.cause = cause


Check = Callable[..., None]


def needs(*checks: str) -> Callable[[Check], Check]:
    """Mark a check that is meaningless if one of these fails."""

    def marked(check: Check) -> Check:
        check.needs = checks  # type: ignore[attr-defined]  # read by Contract alone
        return check

    return marked


def _reported_once(name: str, check: Check) -> Check:
    """The check, which counts as not tried if another one reports its cause."""

    @wraps(check)
    def tried(self: Contract, *given: Any, **named: Any) -> None:
        try:
            check(self, *given, **named)
        except unittest.SkipTest:
            raise
        except (Exception, SystemExit) as error:
            if cause := self._cause(name):
                raise Explained(cause) from error
            raise

    return tried


def title(check: str) -> str:
    """A check's name in words."""
    return check.removeprefix("test_").replace("_", " ")


@dataclass(frozen=True)
class Verdict:
    """The outcome of one check.

    Attributes:
        check: Name of the method, ``test_…``.
        state: ``kept``, ``broken``, or ``not tried`` if there was nothing to test it with.
        reason: Requirement and result, or why it was not tried; empty if kept.
    """

    check: str
    state: State
    reason: str = ""

    @property
    def title(self) -> str:
        """The check's name in words."""
        return title(self.check)


def verdicts(contract: Contract) -> list[Verdict]:
    """Run every check without pytest: the foundations, then the others in order of their names."""
    named = [name for name in sorted(dir(contract)) if name.startswith("test_")]
    first = [name for name in contract.foundations if name in named]
    return [_verdict(contract, name) for name in [*first, *(n for n in named if n not in first)]]


def violations(contract: Contract) -> dict[str, str]:
    """Name of each broken check → its message; empty if the contract is kept."""
    found = verdicts(contract)
    return {verdict.check: verdict.reason for verdict in found if verdict.state == "broken"}


def _verdict(contract: Contract, name: str) -> Verdict:
    try:
        getattr(contract, name)()
    except unittest.SkipTest as reason:
        return Verdict(name, "not tried", str(reason))
    except ContractBroken as error:
        return Verdict(name, "broken", str(error))
    except (Exception, SystemExit) as error:  # any error of third-party code is a finding
        said = f"{type(error).__name__}: {shortened(str(error), LONG)}{_place(error)}"
        return Verdict(name, "broken", f"Wanted no error; got {said}")
    return Verdict(name, "kept")


_NOT_THE_AUTHORS = ("mmvae", "torch", "numpy", "PIL", "pydantic")


def _place(error: BaseException) -> str:
    """`` (in Angle.decoder, mmvae_angles.py:57)``: the innermost place in the author's code."""
    for frame, line in reversed(list(traceback.walk_tb(error.__traceback__))):
        if frame.f_globals.get("__name__", "mmvae").split(".")[0] not in _NOT_THE_AUTHORS:
            code = frame.f_code
            return f" (in {code.co_qualname}, {Path(code.co_filename).name}:{line})"
    return ""


def not_tried(reason: str) -> NoReturn:
    """End a check that has nothing to test; pytest shows it as skipped."""
    raise unittest.SkipTest(reason)


def require_offer(role: str, offered: type[Any]) -> None:
    """A class that a plugin can register in this role: base, kind, Config, nothing left out."""
    try:
        add_offer([], ROLES[role], offered)
    except TypeError as error:
        raise ContractBroken(f"Wanted a {role} that can be registered; got {error}.") from error


def require_config(config: BaseModel) -> None:
    """Check that keys survive TOML, are described in the schema, and unknown ones are refused."""
    schema = json.loads(json.dumps(type(config).model_json_schema()))
    described: dict[str, Any] = schema.get("properties", {})
    for key, entry in described.items():
        require("description" in entry, f"a description of key {key!r}", "none")
    closed = schema.get("additionalProperties") is False
    require(closed, "unknown keys refused (extra='forbid')", "a Config that takes any key")
    written = config.model_dump(mode="json", exclude_none=True)
    again = type(config).model_validate(tomllib.loads(tomli_w.dumps(written)))
    require(again == config, f"{config!r} back from TOML", repr(again))
    keys = set(written) - set(described)
    require(not keys, "every key that TOML has in the JSON Schema", f"none of {sorted(keys)}")

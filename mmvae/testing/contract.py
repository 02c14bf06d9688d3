"""A contract: checks named ``test_…`` that pytest collects, and that run without it."""

from __future__ import annotations

import json
import tomllib
import unittest
from dataclasses import dataclass
from typing import Any, Literal, NoReturn

import tomli_w
from pydantic import BaseModel

from mmvae.errors import ContractBroken as ContractBroken
from mmvae.errors import require as require

State = Literal["kept", "broken", "not tried"]


class Contract:
    """Base of the conformance suites; a check is a method whose name begins with ``test_``."""


@dataclass(frozen=True)
class Verdict:
    """What became of one check.

    Attributes:
        check: Name of the method, ``test_…``.
        state: ``kept``, ``broken``, or ``not tried`` where there was nothing to try it with.
        reason: What was wanted and got, or why it was not tried; empty if kept.
    """

    check: str
    state: State
    reason: str = ""

    @property
    def title(self) -> str:
        """The check's name in words."""
        return self.check.removeprefix("test_").replace("_", " ")


def verdicts(contract: Contract) -> list[Verdict]:
    """Run every check without pytest, in the order of their names."""
    return [_verdict(contract, n) for n in sorted(dir(contract)) if n.startswith("test_")]


def violations(contract: Contract) -> dict[str, str]:
    """Name of each broken check → what was wrong; empty if the contract is kept."""
    found = verdicts(contract)
    return {verdict.check: verdict.reason for verdict in found if verdict.state == "broken"}


def _verdict(contract: Contract, name: str) -> Verdict:
    try:
        getattr(contract, name)()
    except unittest.SkipTest as reason:
        return Verdict(name, "not tried", str(reason))
    except ContractBroken as error:
        return Verdict(name, "broken", str(error))
    except (Exception, SystemExit) as error:  # whatever a stranger's code raises is a finding
        return Verdict(name, "broken", f"Wanted no error; got {type(error).__name__}: {error}")
    return Verdict(name, "kept")


def not_tried(reason: str) -> NoReturn:
    """End a check that has nothing to try; pytest shows it as skipped."""
    raise unittest.SkipTest(reason)


def require_config(config: BaseModel) -> None:
    """Keys go through TOML unchanged, are described in the schema, and unknown ones refused."""
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
